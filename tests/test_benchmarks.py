"""Every benchmark runs, and its candidates agree: the scripts' cores at tiny sizes. No figure is asserted."""

from __future__ import annotations

import importlib
import json
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from extractor_table import Classifier
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import calls
import compiled
import coverage
import epoch
import fid
import folder
import gpu
import growth
import human_intervals
import human_strengths
import inception
import kept
import kid
import many
import measures_cost
import networks_cost
import precision_recall
import run_all
import scale
import sensitivity
import startup
import sync
import update
import verdicts
from harness import ceilings, corruptions, heatmap, image_sets, page, populations, results, stored, values
from harness.common import MIB, in_steps, interleaved
from harness.processes import Spent, spent
from harness.results import Result, Row
from harness.tracer import calls_of

from streaming_metrics import FID, IS, NDB, PRDC, ImageStatistics, Vendi
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.extractors import ModuleExtractor
from streaming_metrics.measures.catalogue import entries
from streaming_metrics.measures.sizes import size

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ranks

BENCHMARKS = Path(run_all.__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore")  # scipy's sqrtm and torchmetrics warn


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings.Ceilings.__init__, "__kwdefaults__", {"side": 64, "takes": 1, "device": "cpu"})


class Layer(nn.Module):
    """One column of a network, as torchmetrics wants it."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self.network, self.column = network, "logits" if layer == "logits_unbiased" else "pool"
        self.num_features = 8

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).columns()[self.column]


@pytest.fixture(scope="module")
def network() -> ModuleExtractor:
    return ModuleExtractor(Classifier(), tag="tiny", value_range=(0, 1))


def on(ranks: Ranks) -> Callable[..., list[Any]]:
    """Return what stands in for ``on_ranks``: the tests' own pool."""
    return lambda world_size, function, *args: ranks.run(world_size, in_pool, function, args)


def in_pool(group: object, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return function(Comm(group).rank, *args, process_group=group)


def check(result: Result, questions: int) -> None:
    assert len(result.rows) == questions
    assert all(row.question and row.ours and row.peer and row.ratio == row.ratio for row in result.rows)
    assert result.checks


@pytest.mark.slow
def test_inception(inception_weights: Path) -> None:
    networks = inception.our_networks(inception_weights), inception.peer_networks(inception_weights)
    result = inception.bench(*networks, images=1, sides=[32], repeats=1)
    check(result, questions=len(networks[0]) + 1)
    assert len(result.checks) == len(networks[1])


def test_an_epoch(network: ModuleExtractor) -> None:
    networks = epoch.Networks([network], lambda layer: Layer(network, layer).eval())
    result = epoch.bench(networks, images=40, side=8, batch=16, k=3)
    check(result, questions=2)
    assert len(result.checks) == 2 * len(["fid", "kid", "kid_std", "is", "precision", "recall", "density", "coverage"])


def test_frechet_distance() -> None:
    check(fid.bench(samples=100, width=6, repeats=2), questions=2)


def test_kernel_distance() -> None:
    check(kid.bench(samples=60, width=8, subsets=5, subset_size=20, k=3, repeats=1), questions=3)


def test_kept() -> None:
    lines = kept.lines_of(kept.MEASURES, samples=(500, 600), width=8, classes=4)
    grows = {measure: (float(before) > 0, float(after) > 0) for measure, _, _, before, _, after in lines}
    for measure in ("prdc(recall=False)", "ndb", "authpct"):
        assert grows.pop(measure) == (True, False)
    kept_whole = {measure for measure, (before, after) in grows.items() if before or after}
    assert kept_whole == {"kid", "prdc", "intra_fid(classes=10)", "kid(capacity=1000)", "mmd"}


def test_neighbours() -> None:
    result = precision_recall.bench(samples=50, width=8, k=3, repeats=1)
    check(result, questions=len(precision_recall.ours(torch.rand(9, 2), torch.rand(9, 2), k=3)) + 1)
    large = precision_recall.large(samples=60, width=8, k=3)
    assert large.rows[0].unit == "GB"


def test_many() -> None:
    check(many.bench(samples=1000, width=8), questions=1)


def test_updates(network: ModuleExtractor) -> None:
    check(update.bench(network, images=2, side=8, width=6, classes=4, repeats=1, sides=(4, 8)), questions=3)


def test_starts_of_commands_and_imports() -> None:
    commands = {name: startup.COMMANDS[name] for name in ("--help", "compare --measures fid")}
    result = startup.bench(commands, [startup.NAMES, "import json"], repeats=1)
    check(result, questions=3)
    assert [row.unit for row in result.rows] == ["s", "MB", "×"]


def test_a_process_is_measured_with_those_below_it() -> None:
    child = "import time; held = bytearray(64 * 2**20); time.sleep(0.3); print('done')"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    run = spent([sys.executable, "-c", parent])
    assert (run.code, run.out.strip()) == (0, "done")
    assert run.wall >= 0.3 > run.cpu > 0
    assert run.peak > 64 * MIB > run.resident > 4 * MIB


def test_folders_hold_as_many_images_of_both_formats(tmp_path: Path) -> None:
    for written in folder.write_folders(tmp_path, samples=5, side=32):
        assert sorted(file.suffix for file in written.iterdir()) == [".jpg", ".jpg", ".png", ".png", ".png"]


def test_distances_are_read_off_what_commands_print() -> None:
    def value(out: str, code: int = 0) -> float | None:
        return folder.value_of(Spent([], 1, 1, 1, 1, code, out))

    assert value('{\n  "scores": {\n    "fd_inception_v3": 12.5\n  }') == 12.5
    assert value('{\n    "frechet_inception_distance": 1e-3\n}') == 0.001
    assert value("FID:  3.25") == 3.25
    assert value("ValueError: Imaginary component 0.2", code=1) is None
    with pytest.raises(AssertionError):
        value("Killed", code=137)


@pytest.mark.slow
def test_folders_end_to_end(inception_weights: Path, tmp_path: Path) -> None:
    check(folder.bench(tmp_path, inception_weights, samples=4, side=64, names=["fidelity"]), questions=2)


@pytest.mark.slow
def test_growth(ranks: Ranks) -> None:
    check(growth.bench(samples=128, width=6, classes=4, repeats=1, ranks=2, on_ranks=on(ranks)), questions=4)


def test_sync(ranks: Ranks) -> None:
    check(sync.bench([2], 1, on_ranks=on(ranks)), questions=1)


def test_calls() -> None:
    now = calls.counts(calls.bench(batches=1))
    before = json.loads((BENCHMARKS / "calls_before.json").read_text())
    assert now.keys() == before.keys()
    assert all(0 < count["files"] <= count["calls"] for count in now.values())
    assert now["update, features"]["calls"] < now["update, images"]["calls"]
    assert "calls now / before" in calls.report(now, before)
    assert "1.50" in calls.report({"q": {"calls": 3, "files": 1}}, {"q": {"calls": 2, "files": 1}})


TRACED = """
def steps():
    yield from (1, 2)

class Thing:
    def double(self, x): return (lambda y: 2 * y)(x)

def run():
    from traced_package.other import twice
    return sum(steps()) + twice(Thing()) + len([x for x in "ab"]) + len(sorted(x for x in "ab"))
"""


def test_the_tracer_counts_functions_lambdas_and_steps_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "traced_package"
    package.mkdir()
    (package / "__init__.py").write_text(TRACED)
    (package / "other.py").write_text("def twice(thing): return thing.double(1) + thing.double(2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    traced = importlib.import_module("traced_package")
    counted = calls_of(traced.run, traced)
    start = "__init__.py"
    inner = {(start, "run"): 1, (start, "steps"): 3, (start, "double"): 2, (start, "<lambda>"): 2}
    assert counted == inner | {("other.py", "twice"): 1}
    assert sys.getprofile() is None


def test_gpu_on_the_cpu(network: ModuleExtractor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All but the networks, which are tiny, is what runs on a card."""
    ours = {"fp32": network, "tf32": network, "bf16": network}
    theirs = {"peer": lambda images: network(images).pool}
    monkeypatch.setattr(gpu, "candidates", lambda *_: nullcontext((ours, theirs, 1)))
    files = tmp_path / "page.md", tmp_path / "result.json"
    given = f"--device cpu --tiny --compiled --page {files[0]} --json {files[1]}"
    monkeypatch.setattr(sys, "argv", ["gpu.py", *given.split()])
    gpu.main()
    page, (_, result) = files[0].read_text(), results.read(files[1])
    told = ["features", "the peer's", "eigenvalues", "FID", "KID", "PRDC", "real moments", "fake moments", "counts"]
    assert len(result.checks) == len(told)
    assert all(row.question in page and row.ratio == row.ratio for row in result.rows)
    assert {"features at 32 px, bf16, compiled", "4 images to FID, bf16, pageable"} <= {r.question for r in result.rows}
    assert "No card" in page
    assert "held back" in page


@pytest.mark.slow
def test_gpu_on_the_cpu_with_the_networks_themselves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--tiny", "--page", str(tmp_path / "page.md")])
    gpu.main()
    assert "torch-fidelity" in (tmp_path / "page.md").read_text()


def test_gpu_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert "No CUDA device" in capsys.readouterr().out


def test_sensitivity(network: ModuleExtractor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    labels = {"fid", "prdc", "vendi", "intra_fid", "authpct", "kid"}
    monkeypatch.setattr(sensitivity, "entries", lambda: [entry for entry in entries() if entry.label in labels])
    data, told = image_sets.digits(), []
    wanted = [entry.label for entry in entries() if entry.label in labels - {"kid"}]
    rows, columns, left_out = sensitivity.bench(data, 60, 4, network, ["kid"], told.append)
    assert [row.measure.label for row in rows] == wanted
    assert dict(columns).keys() > {"none", "blur", "mode drop", "copying", "wrong labels", "invention"}
    lines = {line.name: line for line in sensitivity.lines_of(rows, draws=4)}
    place = [name for name, of in columns for _ in of].index
    assert lines["fid"].cells[place("noise") + 2] > sensitivity.THRESHOLD
    assert lines["authpct"].cells[place("copying") + 2] > sensitivity.THRESHOLD
    assert lines["fid"].cells[place("wrong labels")] is None
    assert np.isnan(lines["intra_fid"].cells[place("mode drop") + 2])
    verdicts = {row[0]: row for row in sensitivity.told(list(lines.values()), columns)}
    assert "noise" in verdicts["`fid`"][1]
    assert "mode drop" in verdicts["`intra_fid`"][4]
    assert all(row.kept and row.compute > 0 for row in rows)
    assert left_out == {"kid": "takes minutes"}
    values.write_values(tmp_path / "map.json", {"samples": 60}, columns, {"intra_fid": [lines["intra_fid"]]}, left_out)
    written = json.loads((tmp_path / "map.json").read_text())["measures"]["intra_fid"]["intra_fid"]
    assert written[place("mode drop") + 2] == values.REFUSED
    assert written[place("noise") + 2] == pytest.approx(lines["intra_fid"].cells[place("noise") + 2], rel=1e-3)
    heatmap.draw(list(lines.values()), columns, 3.0, "few", tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_score_is_in_deviations_between_real_draws_towards_worse() -> None:
    values = [{"fid": 1.0}, {"fid": 3.0}, {"fid": 2.0}, {"fid": 7.0}, {}]
    row = sensitivity.Row(FID(), values, 0.0, 0.0, 0)
    assert sensitivity.scores(row, "fid", "lower", 3) == [5.0, pytest.approx(np.nan, nan_ok=True)]
    assert sensitivity.scores(row, "fid", "higher", 3)[0] == -5.0
    assert [heatmap.mark(z, 3.0) for z in (4.0, 0.0, -4.0, float("nan"), None)] == ["", "·", "×", "?", ""]


@pytest.mark.parametrize("name", corruptions.PIXELS)
def test_a_stronger_corruption_changes_more(name: str) -> None:
    corrupt, strengths, _ = corruptions.PIXELS[name]
    images = image_sets.photographs(each=4).images
    changed = [corrupt(images, strength, torch.Generator().manual_seed(0)) for strength in strengths]
    errors = [(one.float() - images).square().mean().item() for one in changed]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert all((one.dtype, one.shape) == (torch.uint8, images.shape) for one in changed)


def test_other_choices_of_images_are_what_they_say() -> None:
    labels, generator = torch.arange(2000) % 10, torch.Generator().manual_seed(0)
    assert labels[corruptions.without_modes(labels, 3, 500, generator)].unique().tolist() == [*range(3, 10)]
    shares = labels[corruptions.shifted(labels, 0.5, 200, generator)].bincount(minlength=10) / 200
    assert shares[0] == pytest.approx(0.5, abs=0.1)
    assert len(corruptions.repeated(1000, 0.99, generator).unique()) == 10
    assert corruptions.replaced(1000, 0.3, generator).sum() == 300


def test_a_ticket_stands_for_what_was_seen(network: ModuleExtractor) -> None:
    images = torch.randint(0, 256, (300, 3, 8, 8), dtype=torch.uint8)
    memory = stored.Store([network])
    memory.add(images[:100])
    places = memory.add(images[100:])[[5, 199, 5]]
    found = next(iter(memory.stored.values()))(stored.tickets(places)).columns()
    assert torch.allclose(found["pool"], network(images[[105, 299, 105]]).columns()["pool"])


def test_cost_of_measures() -> None:
    measures, drawn = [FID(), PRDC(), NDB(bins=4), Vendi()], measures_cost.Drawn(60, width=8)
    assert measures_cost.sums(measures, drawn, 1, aside=()).keys() == {"core", "all but older", "all"}
    lines = [measures_cost.line_of(measure, drawn, 1) for measure in measures]
    assert [line[0] for line in lines] == ["`fid`", "`prdc(k=5)`", "`ndb(bins=4)`", "`vendi`"]
    assert lines[2][-2:] == [size(60 * (4 * 8 + 8)), size(4 * 8)]


def test_cost_of_measures_from_images() -> None:
    seconds = measures_cost.sums([IS(), ImageStatistics()], measures_cost.Pictures(4, side=32), 1, aside=())
    assert min(seconds.values()) > 0
    assert "0.50 s, 2.00× (SHORT)" in measures_cost.verdict({"core": 0.25, "all but older": 0.3, "all": 0.5}, ["x"])


def test_a_part_of_a_page_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- x -->\nold\n<!-- end of x -->\nafter\n")
    page.write_part(path, "x", page.markdown(["a"], [["1"]]))
    assert path.read_text() == "before\n<!-- x -->\n\n| a |\n| --- |\n| 1 |\n\n<!-- end of x -->\nafter\n"
    with pytest.raises(ValueError, match="expected <!-- y -->"):
        page.write_part(path, "y", "")


def test_what_disagrees_is_no_figure() -> None:
    with pytest.raises(AssertionError, match=r"FID: 1\.0e-01 apart, relative, at most 1e-03 allowed"):
        Result().agree("FID", 1.1, 1.0, 1e-3)
    with pytest.raises(AssertionError, match="apart"):
        Result().agree("FID", float("nan"), 1.0, 1e-3)


def test_candidates_take_turns() -> None:
    seen: list[str] = []
    timings = interleaved({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3, at_most={"b": 1})
    assert seen == ["a", "b", "a", "a"]
    assert [len(timing.turns) for timing in timings.values()] == [3, 1]
    steps = in_steps({"a": iter([1, 2, 3]), "b": iter("x")})
    assert {name: (len(timing.turns), timing.result) for name, timing in steps.items()} == {"a": (3, 3), "b": (1, "x")}


@pytest.mark.parametrize(
    ("ratio", "reach", "at_most", "struck", "verdict"),
    [
        (2.0, 2.0, False, "", "reached"),
        (1.9, 2.0, False, "", "SHORT"),
        (1.1, 1.15, True, "", "reached"),
        (1.2, 1.15, True, "", "SHORT"),
        (1.9, 2.0, False, "no more", "struck"),
        (2.0, 2.0, False, "no more", "reached"),
    ],
)
def test_a_row_says_whether_it_reaches(ratio: float, reach: float, at_most: bool, struck: str, verdict: str) -> None:
    assert Row("q", "1 s", "2 s", ratio, reach, at_most, struck=struck).verdict == verdict


def test_the_report_holds_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("fast?", "1 s", "3 s", 3.0, 2.0), Row("small?", "2 GB", "9 GB", 2.0, 0.3, at_most=True, unit="GB")]
    rows.append(Row("faster?", "1 s", "3 s", 3.0, 4.0, struck="a copy alone takes 0.9 s"))
    written = Result(rows, {"sgemm": 100.0, "copy": 10.0}, ["checked"], ["noted"])
    results.finish(written, "How fast?", tmp_path / "result.json")
    how, again = results.read(tmp_path / "result.json")
    assert (how, again) == ("How fast?", written)
    report = run_all.markdown({"fid": (how, again)}, failed=["kid"])
    for part in (
        "| fast? | 1 s | 3 s | 3× | ≥ 2× | reached |",
        "**SHORT**",
        "1 of 3 rows reached, 1 short, 1 struck",
        "| faster? | 1 s | 3 s | 3× | ≥ 4× | struck |",
        "Struck: faster?: a copy alone takes 0.9 s",
        "kid.py` **failed**",
    ):
        assert part in report
    run_all.draw(rows, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "SHORT" in printed
    assert "struck: faster?: a copy alone takes 0.9 s" in printed


def test_every_script_is_run() -> None:
    alone = {"run_all", "gpu", "fuzz", "soak", "calls", "kept", "sensitivity", "measures_cost"}
    alone |= {
        "coverage",
        "errors_cost",
        "human_intervals",
        "human_strengths",
        "networks_cost",
        "compiled",
        "scale",
        "report_picture",
        "study_exposure",
        "study_load",
        "verdicts",
    }
    assert {file.stem for file in BENCHMARKS.glob("*.py")} - alone == set(run_all.SCRIPTS)


def test_a_validation_is_timed_beside_its_networks() -> None:
    free = {name: networks_cost.Free(width, name) for name, width in (("inception", 6), ("dino", 4), ("clip", 5))}
    rows, alone = networks_cost.rows_of({n: ModuleExtractor(one, tag=n) for n, one in free.items()}, 120, 8, 32, 1)
    assert [row[0] for row in rows[-2:]] == ["all three, alone", "a validation"]
    assert rows[-2][1] == alone == sum(row[1] for row in rows[:3]) > 0
    assert float(rows[-1][2]) == pytest.approx(rows[-1][1] / alone, abs=1e-3)


def test_strengths_of_simulated_studies_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(human_strengths, "ENDLESS", 4000)
    rows = human_strengths.rows_of([(8, 8, 20)], studies=2)
    assert len(rows) == len(human_strengths.POPULATIONS)
    assert all(len(row) == len(human_strengths.HEAD) for row in rows)
    assert all(0 <= float(share) <= 1 for row in rows for share in row[3:])
    differ, alike = (human_strengths.covered(one, (10, 10, 40), 8) for one in (TASTE, human_strengths.Population(0, 0)))
    assert differ[3] < differ[1]  # counts take raters who differ for independent judgements
    assert alike[3] > 0.8


def test_intervals_of_simulated_studies_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(human_intervals, "ENDLESS", 300)
    human_intervals.truth.cache_clear()
    [row] = human_intervals.rows_of([(8, 8, 12)], studies=3)
    human_intervals.truth.cache_clear()
    assert len(row) == len(human_intervals.HEAD)
    assert all(0 <= float(share) <= 1 for share in row[1:])
    assert 0.3 < human_intervals.planned(2, units=40) < 2


TASTE = human_strengths.Population(1.5, 0)


def test_verdicts_err_at_their_rate_and_cost_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MOTIONS", 4000)
    monkeypatch.setattr(verdicts, "EPOCHS", 3)
    rows = list(verdicts.boundary_rows())
    assert [row[0] for row in rows] == list(verdicts.boundaries())
    assert len(list(verdicts.distance_rows(4, 32, reps=1))) == len(verdicts.CASES)
    assert len(list(verdicts.plateau_rows(reps=1))) == 3


@pytest.mark.filterwarnings("ignore")
def test_coverage_of_simulated_distances_is_counted() -> None:
    row, levels = coverage.cell("gauss", "same", width=8, ratio=10, draws=12)
    assert len(row) == len(coverage.HEAD)
    raw, corrected = (levels[key][coverage.LEVELS.index(0.95)] for key in ("fid", "fid_corrected"))
    assert raw <= 0.5 < 0.8 <= corrected
    assert len(coverage.paired_row(0.9, "near", draws=4, width=6)) == len(coverage.PAIRED_HEAD)
    assert len(coverage.equal_row(width=8, draws=4)) == len(coverage.EQUAL_HEAD)


@pytest.mark.parametrize("law", populations.LAWS)
def test_populations_have_the_moments_that_they_say(law: str) -> None:
    population = populations.Population(law, 4)
    rows = population.rows(*population.noise(200_000, torch.Generator().manual_seed(0)), wider=1.5, shift=0.5)
    scale = population.deviations
    torch.testing.assert_close(rows.mean(0), 0.5 * scale, rtol=0, atol=0.03)
    torch.testing.assert_close(rows.T.cov(), 2.25 * population.fit.sigma, rtol=0, atol=0.12)


def test_a_model_finds_the_constants_that_made_what_was_seen() -> None:
    cases = [scale.Case(n, width, ranks) for n in (100, 300) for width in (8, 32) for ranks in (1, 2, 3)]
    terms = scale.terms_of("PRDC", "compute, s")
    true = scale.Model(terms, (0.5, 0.0, 0.0, 3e-6, 2e-4))
    found = scale.Model.fitted(terms, {case: true(case) for case in cases if case.ranks < 4})
    assert found.constants == pytest.approx(true.constants, rel=1e-6, abs=1e-12)
    assert str(found) == "0.5 · once + 3e-06 · N² × D / W + 0.0002 · N × D"
    assert scale.Model.fitted(terms, dict.fromkeys(cases, 0.0))(cases[0]) == 0


def test_reports_of_any_size_are_told_by_what_ranks_here_took(ranks: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "MEETINGS", (2, 3))
    seen = scale.collected([1, 2], [220], [6], on(ranks))
    text = scale.page_of(seen, [1], [2])
    assert len(seen) == len(scale.REPORTS) * 2
    assert all(f"| {report} | {quantity} |" in text for report in scale.REPORTS for quantity in scale.QUANTITIES)
    assert "| FID and IS | all |" in text
    assert "| KID | a reservoir of 50,000 |" in text


def test_compiled_wants_a_compiler_and_equal_features(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"double": partial(torch.mul, torch.ones(3), 2)}
    [[name, *_, apart]] = compiled.bench(runs, 1, lambda network: network)
    assert (name, apart) == ("double", 0)
    with pytest.raises(AssertionError, match="double: 5"):
        compiled.bench(runs, 1, lambda _: torch.add)
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match="Remedy: apt-get install"):
        compiled.bench(runs, 1)
