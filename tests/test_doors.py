"""Each foreign world has one door, and each floor builds on those below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import streaming_metrics

HOUSE = Path(streaming_metrics.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))

DOORS = {
    "torch.distributed": {"comm.py"},
    "lightning": {"monitor.py", "demo.py"},
    "torchmetrics": {"metric.py", "image.py"},
    "omegaconf": {"named.py"},
    "typer": {"commands.py"},
    "rich": {"terminal.py", "demo_output.py"},
    "PIL": {"decode.py", "arrays.py", "pictures.py"},
}

FLOORS = [
    {"__main__"},
    {"demo", "cli"},
    {"monitor", "image"},
    {"monitoring", "image_network"},
    {"report"},
    {"saved_states"},
    {"generative"},
    {"metric", "repeats"},
    {"sources", "measures"},
    {"reference"},
    {"intake"},
    {"hashes"},
    {"statistics"},
    {"folds"},
    {"identity"},
    {"sampling"},
    {"comm"},
]


def imports_of(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(HOUSE)))
def test_foreign_worlds_enter_by_their_door(file: Path) -> None:
    for name in imports_of(file):
        for world, doors in DOORS.items():
            if name == world or name.startswith(world + "."):
                assert file.name in doors, f"{file.name} imports {name}; its door is {sorted(doors)}"


def room_of(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def test_rooms_import_only_from_below() -> None:
    level = {room: depth for depth, rooms in enumerate(FLOORS) for room in rooms}
    for file in FILES:
        here = level.get(room_of(file))
        if here is None:
            continue
        for name in imports_of(file):
            parts = name.split(".")
            if parts[0] == "streaming_metrics" and len(parts) > 1 and parts[1] in level and parts[1] != room_of(file):
                assert level[parts[1]] > here, f"{file.relative_to(HOUSE)} imports {name} from above or beside it"


def test_the_package_imports_without_lightning_templates_and_the_command_line() -> None:
    foreign = "{'lightning', 'jinja2', 'typer', 'rich'}"
    code = f"import sys, streaming_metrics, streaming_metrics.image; print({foreign} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
