"""The README and the pages under docs/: snippets run, commands parse, links lead somewhere, signatures read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import typer
import yaml
from lightning.fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler
from typer.testing import CliRunner

import streaming_metrics
import streaming_metrics.monitor
from streaming_metrics import FID, KID, PRDC, GenerativeMetrics
from streaming_metrics.cli import app
from streaming_metrics.extractors import ModuleExtractor
from streaming_metrics.measures.registry import MEASURES
from streaming_metrics.monitor import GenerationMonitor
from streaming_metrics.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = Path(__file__).parents[1]
PAGES = [HOME / "README.md", *sorted((HOME / "docs").rglob("*.md"))]
QUICKSTARTS = "docs/quickstart.md", "docs/ko/quickstart.md"
IMAGES = list(torch.randint(0, 256, (11, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)))

pytestmark = [
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than this machine has cores
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*srun.*command is available"),
]


def blocks_of(language: str) -> list[Any]:
    """Return every fenced block of a language, named by its page and line."""
    blocks = []
    for page in PAGES:
        text = page.read_text()
        for block in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, block.start()) + 1
            blocks.append(pytest.param(block[1], id=f"{page.relative_to(HOME)}:{line}"))
    return blocks


def on_pixels(made: Callable[..., Any]) -> Callable[..., Any]:
    """Give what would run the reference Inception, whose weights are not here, pixels for features."""

    def make(measures: Any, *args: Any, **options: Any) -> Any:
        if isinstance(given := options.get("extractor"), dict):
            here = ModuleExtractor(nn.Flatten(), tag="pixels", num_features=192)
            options["extractor"] = {name: here if one == "inception-v3" else one for name, one in given.items()}
        if args or "extractor" in options:
            return made(measures, *args, **options)
        return made(measures, nn.Flatten(), tag="pixels", num_features=192, **options)

    return make


@pytest.fixture
def metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GenerativeMetrics:
    """What the snippets take for granted: a folder of their own, a reference in it, and a metric."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(streaming_metrics.monitor, "GenerationMonitor", on_pixels(GenerationMonitor))
    monkeypatch.setattr(streaming_metrics, "GenerativeMetrics", on_pixels(GenerativeMetrics))
    reference = on_pixels(GenerativeMetrics)([FID(), KID(), PRDC()])
    reference.update(torch.stack(IMAGES), real=True)
    reference.save_reference("ffhq.safetensors")
    return on_pixels(GenerativeMetrics)([FID()])


@pytest.mark.parametrize("snippet", [block for block in blocks_of("python") if not block.id.startswith(QUICKSTARTS)])
def test_a_snippet_runs(snippet: str, metric: GenerativeMetrics) -> None:
    known = {
        "dataset": IMAGES,
        "stream": IMAGES,
        "fabric": Fabric(accelerator="cpu", devices=1),
        "loader": DataLoader(IMAGES, 4, sampler=DistributedSampler(IMAGES, 2, 1)),  # pyright: ignore
        "metric": metric,
    }
    with torch.random.fork_rng():
        exec(compile(snippet, "snippet", "exec"), dict(known))
    if "for images in" in snippet:
        counted = 5 if "loader.sampler" in snippet else 11  # the second of two ranks has 5 and one to pad
        assert metric.distinct("real")[:2] == (counted, counted)  # pyright: ignore[reportOptionalSubscript]


FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")


def told(text: str) -> list[tuple[list[str], list[float]]]:
    """Return the lines of a text: their words, with a mark for each decimal number, and these numbers."""
    lines = re.sub(r"\|v[\d.]+$", "|v", text, flags=re.MULTILINE).splitlines()  # whatever this version is
    return [(NUMBER.sub("#", line).split(), [float(n) for n in NUMBER.findall(line)]) for line in lines]


def printed_by(kind: str, code: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a fenced block, its Python or its commands of this library; return what it prints."""
    if kind == "python":
        with torch.random.fork_rng():
            exec(compile(code, "snippet", "exec"), {"__name__": "__main__"})
        return capsys.readouterr().out
    lines = [line for line in code.splitlines() if line.startswith("streaming-metrics ")]
    results = [CliRunner().invoke(app, shlex.split(line, comments=True)[1:]) for line in lines]
    assert [result.exit_code for result in results] == [0] * len(lines), [result.output for result in results]
    return "".join(result.stdout for result in results)


@pytest.mark.slow  # 9,600 images through a network
@pytest.mark.parametrize("page", QUICKSTARTS)
@pytest.mark.usefixtures("metric")  # a folder of their own
def test_the_quickstart_prints_what_it_shows(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it, one block after another in one folder, as a reader pastes it; a block of text is what is printed.

    What comes after the last that is printed is of a reader's own images.
    """
    blocks = FENCE.findall((HOME / page).read_text())
    last = max(place for place, (kind, _) in enumerate(blocks) if kind == "text")
    monkeypatch.setattr("streaming_metrics.cli.reading._spare_cores", lambda: 0)  # quicker than to start a process
    printed = []
    for kind, text in blocks[: last + 1]:
        if kind in ("python", "bash"):
            printed = told(printed_by(kind, text, capsys))
            continue
        for words, numbers in told(text):
            alike = [found for of, found in printed if of == words]
            assert pytest.approx(numbers, rel=0.1, abs=0.02) in alike, words


@pytest.mark.parametrize("snippet", blocks_of("yaml"))
def test_a_configuration_makes_its_callbacks(snippet: str) -> None:
    for options in yaml.safe_load(snippet)["callbacks"].values():
        assert options.pop("_target_") == "streaming_metrics.monitor.GenerationMonitor"
        assert on_pixels(GenerationMonitor)(**options).settings.num_samples == 10_000


COMMANDS = [
    pytest.param(line, id=line.split(" ", 1)[1].split("  ")[0])
    for block in blocks_of("bash")
    for line in block.values[0].splitlines()
    if "streaming-metrics " in line or "-m streaming_metrics " in line
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_parses(line: str) -> None:
    name, *arguments = shlex.split(re.split("streaming[-_]metrics ", line, maxsplit=1)[1], comments=True)
    command = typer.main.get_command(app).commands[name]  # pyright: ignore[reportAttributeAccessIssue]
    if name == "study":
        name, *arguments = arguments
        command = command.commands[name]
    assert command.make_context(name, arguments).args == []  # an unknown option raises


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    linked = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:tests|benchmarks|examples|docs)/[\w/.]+)`", text)
    lost = [link for link in linked if not (page.parent / link).exists()]
    lost += [path for path in named if not (HOME / path).exists()]
    assert lost == []


def test_signatures_on_pages_read() -> None:
    lines = [line for page in PAGES for line in re.findall(r"`([^`\n]*\|ext:[^`\n]*)`", page.read_text())]
    assert len(lines) > 1
    assert [str(Signature.parse(line)) for line in lines] == lines


def test_pages_count_the_measures() -> None:
    assert f"core of {len(MEASURES)} measures" in (HOME / "README.md").read_text()
    assert f": {len(MEASURES)} measures" in (HOME / "docs" / "index.md").read_text()


def test_the_readme_is_short() -> None:
    assert len((HOME / "README.md").read_text().splitlines()) <= 120
