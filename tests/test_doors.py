"""Each foreign world has one door, and each floor builds on those below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import streaming_metrics
from streaming_metrics.measures.registry import homes

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUSE = Path(streaming_metrics.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))

DOORS = {
    "torch.distributed": {"distributed/comm.py"},
    "lightning": {"monitor/callback.py", "demo/flow.py", "demo/run.py", "demo/training.py"},
    "torchmetrics": {
        "core/shell.py",
        "core/given_metrics.py",
        "image.py",
        "paired_sharpness.py",
    },
    "gudhi": {"measures/geometry.py"},
    "omegaconf": {"measures/registry.py"},
    "typer": {
        "cli/commands.py",
        "cli/exits.py",
        "cli/explain.py",
        "cli/options.py",
        "cli/study.py",
        "cli/study_results.py",
    },
    "rich": {"cli/terminal.py", "demo/output.py"},
    "starlette": {"study/web.py"},
    "uvicorn": {"study/serving.py"},
    "sqlite3": {"study/database.py", "study/schema.py", "study/server.py"},
    "av": {"images/videos.py"},
    "pyarrow": {"images/rows.py"},
    "fsspec": {"images/remote.py"},
    "transformers": {"extractors/folders.py"},
    "PIL": {"images/decode.py", "images/encode.py", "images/own.py", "report/pictures.py"},
}

FLOORS = [
    {"__main__", "demo"},
    {"monitor", "cli"},
    {"__init__", "image", "paired_sharpness", "report"},
    {"doctor"},
    {"core"},
    {"plots"},
    {"measures"},
    {"extractors"},
    {"study"},
    {"images"},
    {"ratings"},
    {"verdicts"},
    {"files", "untouched"},
    {"statistics"},
    {"pairwise", "sampling"},
    {"distributed", "features", "signature", "startup", "huge_pages", "precision", "deferred"},
    {"arguments", "lazy"},
]
"""The rooms, from the roof to the ground: each imports from floors below its own."""


def imports_of(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            of_house = node.module == "streaming_metrics"
            found += [f"{node.module}.{alias.name}" for alias in node.names] if of_house else [node.module or ""]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(HOUSE)))
def test_foreign_worlds_enter_by_their_door(file: Path) -> None:
    for name in imports_of(file):
        for world, doors in DOORS.items():
            if name == world or name.startswith(world + "."):
                assert str(file.relative_to(HOUSE)) in doors, f"{file.name} imports {name}; its door is {sorted(doors)}"


def room_of(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def rooms_imported(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the room and the full name of everything that a file imports from the house."""
    for name in imports_of(file):
        house, *parts = name.split(".")
        if house == HOUSE.name:
            yield parts[0] if parts and parts[0] in ROOMS else "__init__", name


ROOMS = {room_of(file) for file in FILES}
LEVEL = {room: depth for depth, rooms in enumerate(FLOORS) for room in rooms}


def test_every_room_has_a_floor() -> None:
    assert LEVEL.keys() == ROOMS


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(HOUSE)))
def test_rooms_import_only_from_below(file: Path) -> None:
    for room, name in rooms_imported(file):
        if room != room_of(file):
            assert LEVEL[room] > LEVEL[room_of(file)], f"imports {name} from above or beside it"


def test_the_package_imports_without_lightning_templates_and_the_command_line() -> None:
    foreign = "{'lightning', 'jinja2', 'typer', 'rich'}"
    before = "import sys, torchmetrics; theirs = {*sys.modules}"  # with transformers at hand, it imports that
    code = f"{before}; import streaming_metrics, streaming_metrics.image; print({foreign} & {{*sys.modules}} - theirs)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("room", ["__init__.py", "measures/__init__.py"])
def test_type_checkers_know_every_measure(room: str) -> None:
    tree = ast.parse((HOUSE / room).read_text())
    known = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert homes().keys() <= known
