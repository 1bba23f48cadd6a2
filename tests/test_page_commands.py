"""Commands on pages: those of a page run one after another in one folder, as a reader types them."""

from __future__ import annotations

import re
import shlex
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from test_docs import HOME
from torch import Tensor, nn
from typer.testing import CliRunner

from streaming_metrics import FID, Features, GenerativeMetrics
from streaming_metrics.cli import app
from streaming_metrics.extractors import ModuleExtractor, names

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of few images everything warns
FOLDERS = (
    "real",
    "generated",
    "ours",
    "theirs",
    "a",
    "b",
    "c",
    "restored",
    "train",
    "out",
    "runs/samples/epoch=0-step=1",
)
ARCHIVES = ("generated", "ours", "c", "other")
ELSEWHERE = {
    "study serve": "it serves until it is stopped: tests/study",
    "study results": "it wants people's answers: tests/cli/test_cli_study_results.py",
    "study export": "it wants a plan that is filled in: tests/cli/test_cli_study.py",
    "study tournament": "it wants matches: tests/cli/test_cli_study.py",
    "--study": "it wants a study's results: tests/cli/test_cli_study.py",
    "explain": "it runs ten protocols of the reference Inception: tests/cli/test_explain.py",
    "torchrun": "it starts processes: tests/cli/test_cli.py",
    "VIRTUAL": "guided-diffusion's files: tests/cli/test_guided_diffusion.py",
    "dinov2": "weights that cannot be had here: tests/extractors",
    "cuda": "it wants a GPU",
    "layer=192": "a layer of the reference Inception: tests/extractors",
}
"""What runs in other tests, or nowhere here."""
FEW = 4
"""The exit code where something is not scored, as KID's subsets of a thousand of so few images."""
MINE = """
import torch

def load(path):
    return lambda n: torch.rand(n, 3, 16, 16)
"""
GAP = """
from dataclasses import dataclass
from typing import ClassVar

from streaming_metrics import FID

@dataclass(frozen=True)
class Gap(FID):
    label: ClassVar[str] = "gap"
"""


class Small(ModuleExtractor):
    """What stands for the published Inception: means of 16 parts, three of them as logits too."""

    def __init__(self, weights: str | None = None, resize: str | None = None, precision: str = "fp32") -> None:  # noqa: ARG002
        super().__init__(Parts(), tag="small", precision=precision)


class Parts(nn.Module):
    def forward(self, images: Tensor) -> Features:
        pool = nn.functional.adaptive_avg_pool2d(images.float() / 255, 4).flatten(1)
        return Features(pool, pool[:, :10])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with all that pages take for granted; Inception is a network that needs no weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("STREAMING_METRICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("streaming_metrics.cli.reading._spare_cores", lambda: 0)
    for name in ("inception-v3", "module-small"):  # the second is how files name what stands for the first
        monkeypatch.setitem(names.NETWORKS, name, ("test_page_commands:Small",))
    random = np.random.default_rng(0)
    for name in FOLDERS:
        (tmp_path / name).mkdir(parents=True)
        for i, image in enumerate(random.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)):
            Image.fromarray(image).save(f"{name}/{i:02}.png")
    for name in ARCHIVES:
        with zipfile.ZipFile(f"{name}.zip", "w") as archive:
            for path in sorted(Path("out" if name == "other" else name).iterdir()):
                archive.write(path, path.name)
    (tmp_path / "mine").mkdir()
    Path("mine/__init__.py").write_text(MINE)
    Path("mine/measures.py").write_text(GAP)
    for i in range(2):
        Path(f"runs/{i}.ckpt").write_bytes(bytes([i]))
    for rank in ("rank0", "rank1"):
        metric = GenerativeMetrics([FID()], Parts(), tag="small")
        for is_real in (True, False):
            metric.update(torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8), real=is_real)
        metric.save_state(rank)
    for line in (
        "compare real/ a/ b/ --json all.json",
        "compare real/ a/ --se --json a.json",
        "compare real/ b/ --se --json b.json",
        "compare real/ a/ --json others.json",
    ):
        assert run(line) in (0, FEW)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


def run(line: str) -> int:
    result = CliRunner().invoke(app, shlex.split(line))
    assert result.exit_code in (0, 1, FEW), f"{line}: {result.output}"
    return result.exit_code


def commands_of(page: str) -> list[str]:
    blocks = re.findall(r"^```bash\n(.*?)^```", (HOME / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "streaming" in line and "metrics " in line]
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


def runs_here(line: str) -> bool:
    return not any(word in line for word in ELSEWHERE)


PAGES = {
    page: commands_of(page)
    for page in ["README.md", *sorted(path.relative_to(HOME).as_posix() for path in (HOME / "docs").rglob("*.md"))]
    if "quickstart" not in page  # whose commands run in tests/test_docs.py, and print what is shown
}


@pytest.mark.parametrize("page", [page for page, lines in PAGES.items() if any(map(runs_here, lines))])
@pytest.mark.usefixtures("folder")
def test_the_commands_of_a_page_run_in_their_order(page: str) -> None:
    for line in filter(runs_here, PAGES[page]):
        name, _, rest = line.partition(" ")
        assert name == "streaming-metrics"
        assert run(rest) in ((0, 1) if rest.startswith("diff ") else (0, FEW)), line


def test_what_runs_elsewhere_is_on_a_page() -> None:
    lines = [line for of in PAGES.values() for line in of]
    assert [word for word in ELSEWHERE if not any(word in line for line in lines)] == []
    assert sum(map(runs_here, lines)) > len(lines) / 2
