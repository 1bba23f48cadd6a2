"""CONTRIBUTING.md: what it says one adds for a measure is added, and the laws of the tests' table hold of it."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import conftest
import numpy as np
import pytest
import test_contract
from conftest import MEASURES, WIDTH, draw_side, fill

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.measures import registry
from streaming_metrics.measures.base import width
from streaming_metrics.pairwise import Nearest
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Ranks

    from streaming_metrics import Measure, Spec
    from streaming_metrics.features import Role
    from streaming_metrics.pairwise import PairReduction
    from streaming_metrics.statistics import Statistic

HOME = Path(__file__).parents[1]
PAGE = (HOME / "CONTRIBUTING.md").read_text()
LAWS = [
    law for law in vars(test_contract).values() if test_contract.every_measure.mark in getattr(law, "pytestmark", ())
]

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def block(name: str) -> str:
    """Return the one block of Python of a name."""
    (found,) = re.findall(rf"^```python {name}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measure]:
    """The page's measure, written to its file, registered and given its row in the table, each by the page's words."""
    home = tmp_path_factory.mktemp("measures")
    (home / "mean_distance.py").write_text(block("measure"))
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(home)
        module = importlib.import_module("mean_distance")
        ((label, where),) = eval(f"{{{block('registry')}}}", {"HOUSE": ""}).items()
        patched.setitem(registry.MEASURES, label, where.removeprefix("."))
        ((made, tolerance),) = eval(f"{{{block('row')}}}", vars(conftest) | vars(module)).items()
        patched.setitem(MEASURES, made, tolerance)
        yield made
    sys.modules.pop("mean_distance", None)


def test_its_laws_are_those_of_the_table() -> None:
    assert len(LAWS) >= 6
    assert {test_contract.test_a_merge_of_parts_is_the_whole, test_contract.test_signatures_tell_parameters} <= {*LAWS}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_it_keeps_the_laws_of_the_table(law: Callable[[Measure], None], measure: Measure) -> None:
    law(measure)


def test_it_gives_its_closed_form(measure: Measure) -> None:
    metric = fill(GenerativeMetrics([measure], extractor=None, num_features=WIDTH))
    real, fake = (np.asarray(draw_side(role).pool, np.float64).mean(0) for role in ("real", "fake"))
    assert metric.compute()["mean_distance_features"].item() == pytest.approx(np.square(real - fake).sum(), rel=1e-12)


def test_its_name_works(measure: Measure) -> None:
    assert registry.measures_of("mean_distance") == [measure]
    assert GenerativeMetrics("fid,mean_distance", None, num_features=4).keys == (
        "fd_features",
        "mean_distance_features",
    )


def module_of_pairs() -> Any:
    """Return the module that the page's block on pairs is, which pickles by its name."""
    module = sys.modules.setdefault("nearest_real_of_the_page", types.ModuleType("nearest_real_of_the_page"))
    if not hasattr(module, "NearestReal"):
        exec(block("pairs"), vars(module))
    return module


@pytest.fixture(scope="module")
def of_pairs() -> Iterator[Measure]:
    """The page's measure of pairs, as its words make it, with the row that the page gives it."""
    with pytest.MonkeyPatch.context() as patched:
        made = module_of_pairs().NearestReal()
        patched.setitem(MEASURES, made, conftest.KERNELS)
        yield made
    sys.modules.pop("nearest_real_of_the_page", None)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_measure_of_pairs_keeps_the_laws_of_the_table(law: Callable[[Measure], None], of_pairs: Measure) -> None:
    law(of_pairs)


def nearest_real_of(metric: GenerativeMetrics) -> float:
    return metric.compute()["nearest_real_features"].item()


def test_a_measure_of_pairs_gives_its_closed_form(of_pairs: Measure) -> None:
    metric = fill(GenerativeMetrics([of_pairs], extractor=None, num_features=WIDTH))
    real, fake = (np.asarray(draw_side(role).pool, np.float64) for role in ("real", "fake"))
    expected = np.square(fake[:, None] - real).sum(2).min(1).mean()
    assert nearest_real_of(metric) == pytest.approx(expected, rel=1e-12)


@dataclass(frozen=True)
class Unkept(FID):
    """A measure that compares rows, and keeps banks of them that do not serve."""

    label = "unkept"
    real: tuple[int | None, ...] = ()
    fake: tuple[int | None, ...] = ()

    def statistics(self, spec: Spec) -> dict[Role, tuple[Statistic, ...]]:
        kept = {"real": self.real, "fake": self.fake}
        return {role: tuple(Bank(width(spec, "Unkept"), capacity) for capacity in of) for role, of in kept.items()}

    def reductions(self, spec: Spec) -> tuple[PairReduction, ...]:  # noqa: ARG002
        return (Nearest("fake", "real"),)


@pytest.mark.parametrize(
    ("real", "fake", "got"), [((), (), 0), ((None,), (), 0), ((None,), (9,), 0), ((None, 9), (9, None), 2)]
)
def test_reductions_of_rows_that_are_not_kept_are_refused_before_a_sample_is_read(
    real: tuple[int | None, ...], fake: tuple[int | None, ...], got: int
) -> None:
    said = rf"Unkept: expected one Bank among its statistics of each of \['fake', 'real'\], .* got {got}\. Remedy: keep"
    with pytest.raises(ValueError, match=said):
        GenerativeMetrics([Unkept(real=real, fake=fake)], extractor=None, num_features=WIDTH)


def nearest_real_on_a_rank(group: Any) -> float:
    """Return the value of the page's measure, where each rank gives every so many-th sample."""
    measure = module_of_pairs().NearestReal()
    metric = GenerativeMetrics([measure], extractor=None, num_features=WIDTH, process_group=group)
    for role in ("real", "fake"):
        metric.update(draw_side(role)[group.rank() :: group.size()], real=role == "real")
    return nearest_real_of(metric)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_measure_of_pairs_is_the_same_on_ranks(world_size: int, ranks: Ranks) -> None:
    real, fake = (np.asarray(draw_side(role).pool, np.float64) for role in ("real", "fake"))
    expected = np.square(fake[:, None] - real).sum(2).min(1).mean()
    assert ranks.run(world_size, nearest_real_on_a_rank) == [pytest.approx(expected, rel=1e-12)] * world_size


@pytest.mark.parametrize("command", [["check"], ["format", "--check", "--diff"]], ids=" ".join)
def test_it_is_in_style(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "mean_distance.py"
    file.write_text(block("measure"))
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(HOME / "pyproject.toml"), str(file)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_as_short_as_the_page_says() -> None:
    body = block("measure").partition("@dataclass")[2].splitlines()
    assert len([line for line in body if line.strip()]) <= 22


def test_links_and_files_are_there() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", PAGE)
    named = re.findall(r"`((?:tests|examples|docs|streaming_metrics)/[\w/.]+)`", PAGE)
    to_be_written = [path for path in named if "mean_distance" in path]
    assert [path for path in [*linked, *named] if not (HOME / path).exists()] == to_be_written
    assert len(to_be_written) == 2


def test_long_files_are_named_with_their_reason() -> None:
    page = (HOME / "docs" / "design.md").read_text()
    named = set(re.findall(r"^\| `([\w/]+\.py)` \|", page, re.MULTILINE))
    house = HOME / "streaming_metrics"
    files = {str(file.relative_to(house)): len(file.read_text().splitlines()) for file in house.rglob("*.py")}
    assert {file for file, lines in files.items() if lines > 250} <= named <= files.keys()
