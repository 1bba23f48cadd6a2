"""Counts before work: what can be scored is scored, what cannot is named, and nothing is read in vain."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from conftest import MEASURES, WORLD
from PIL import Image
from torch import Tensor, nn
from torch_fidelity.metric_isc import isc_features_to_metric
from typer.testing import CliRunner, Result

from streaming_metrics import FID, IS, KID, AuthPct, Features, GenerativeMetrics, NotEnoughSamples, cli
from streaming_metrics.cli.plan import Plan
from streaming_metrics.cli.reading import ImageReader
from streaming_metrics.cli.scoring import Job, Network
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.extractors import ModuleExtractor
from streaming_metrics.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks

    from streaming_metrics.measures import Sides

N = 30


class Patches(nn.Module):
    """Means of a coarse grid as features; as logits, so far apart that splits differ."""

    def forward(self, images: Tensor) -> Features:
        pool = nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)
        return Features(pool=pool, logits=20 * pool[:, :5])


def patches() -> ModuleExtractor:
    return ModuleExtractor(Patches(), tag="patches")


PIXELS = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
REAL = list(np.random.default_rng(1).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
FAKE: list[Any] = list(PIXELS)
BROKEN: list[Any] = [None if i in (3, 4, 17, 29) else image for i, image in enumerate(PIXELS)]
NOTHING: list[Any] = [None] * 3
TOUCHED: list[int] = []


class Watched(list[Any]):
    def __getitem__(self, i: Any) -> Any:
        TOUCHED.append(i)
        return super().__getitem__(i)


WATCHED = Watched(REAL)
TINY = ["--extractor", "test_cli_counts:patches", "--workers", "0"]


def named(*names: str) -> list[str]:
    return [f"test_cli_counts:{name}" for name in names]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def compared(*arguments: Any, exit_code: int = 0) -> dict[str, Any]:
    result = run("compare", *arguments, *TINY, "--json", "-")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def job(measures: str, **options: Any) -> Job:
    return Job(
        Network("test_cli_counts:patches", device="cpu"), measures, Comm(timeout=30), ImageReader(4, 0, **options)
    )


# --- what can be scored -----------------------------------------------------------------------------------------------


def test_what_suffices_is_scored_and_the_rest_is_named(tmp_path: Path) -> None:
    result = run(
        "compare", *named("REAL", "FAKE"), "--measures", "fid,kid,prdc(k=3)", *TINY, "--json", tmp_path / "x.json"
    )
    assert result.exit_code == 4
    read = json.loads((tmp_path / "x.json").read_text())
    expected = compared(*named("REAL", "FAKE"), "--measures", "fid,prdc(k=3)")
    assert read["scores"] == expected["scores"]
    assert read["signature"] == expected["signature"]
    assert list(read["unscored"]) == ["kid"]
    assert expected["unscored"] == {}
    told = "not scored: kid: KID needs at least 1000 real samples, got 40"
    assert result.stderr.index(f"note: {told}") < result.stderr.index("real: 40 of 40")
    assert result.stderr.rindex(f"streaming-metrics: {told}") > result.stderr.index("generated: 30 of 30")
    assert f"fd_patches\t{read['scores']['fd_patches']:.6g}" in result.stdout


@pytest.mark.parametrize("part", [[], ["--num-samples", "2"]])
def test_nothing_is_read_where_nothing_can_be_scored(part: list[str]) -> None:
    TOUCHED.clear()
    result = run(
        "compare", *named("WATCHED", "FAKE"), "--extractor", "no-such-network", "--measures", "kid,prdc", *part
    )
    assert result.exit_code == (4 if part else 3)
    result = run("compare", *named("WATCHED", "FAKE"), "--extractor", "no-such-network", "--measures", "kid", *part)
    assert result.exit_code == 4
    assert set(TOUCHED) <= {0}  # the first of a dataset tells whether a range is needed


def test_no_measure_is_a_wrong_option() -> None:
    result = run("compare", *named("REAL", "FAKE"), *TINY, "--measures", " ")
    assert result.exit_code == 2
    assert "expected a list like" in " ".join(result.stderr.replace("│", " ").split())


def short_on_each_rank(_: Any) -> tuple[list[str], str]:
    some = job("fid,kid").compare(*named("REAL", "FAKE")).result
    with pytest.raises(NotEnoughSamples) as error:
        job("kid").compare(*named("REAL", "FAKE"))
    return [*some.scores, *some.unscored], str(error.value)


@pytest.mark.slow
def test_ranks_agree_on_what_can_be_scored(ranks: Ranks) -> None:
    for scored, error in ranks.run(WORLD, short_on_each_rank):
        assert scored == ["fd_patches", "kid"]
        assert "KID needs at least 1000 real samples, got 40" in error


@pytest.mark.parametrize("enough", ["fid", "is"])
def test_images_that_are_skipped_may_be_too_many(enough: str) -> None:
    measures = ["--measures", f"{enough},kid(subset_size=28)"]
    read = compared(*named("REAL", "BROKEN"), "--on-error", "skip", *measures, exit_code=4)
    assert [key.split("_")[0] for key in read["scores"]] == {"fid": ["fd"], "is": ["is", "is"]}[enough]
    assert list(read["unscored"]) == ["kid(subset_size=28)"]
    assert "got 26" in read["unscored"]["kid(subset_size=28)"]
    assert len(Signature.parse(read["signature"]).measures) == 1


@pytest.mark.parametrize("measure", ["fid", "is"])
def test_images_that_are_skipped_are_named_even_where_none_is_left(measure: str) -> None:
    result = run("compare", *named("REAL", "NOTHING"), *TINY, "--on-error", "skip", "--measures", measure)
    assert result.exit_code == 4
    assert "note: left out: test_cli_counts:NOTHING[1]: expected a tensor" in result.stderr
    assert "fake samples, got 0" in result.stderr


def test_a_merge_scores_what_it_can(tmp_path: Path) -> None:
    metric = GenerativeMetrics([FID(), KID()], patches())
    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    for real in (True, False):
        metric.update(images, real=real)
    metric.save_state(tmp_path / "state")
    result = run("merge", tmp_path / "state", "-o", tmp_path / "all")
    assert result.exit_code == 4
    assert result.stdout.startswith("fd_patches\t")
    assert "not scored: kid: KID needs at least 1000 real samples, got 30" in result.stderr
    assert run("show", tmp_path / "all").exit_code == 0


class EverySide(FID):
    """A measure of one's own that goes over its sides, as the one on the page for contributors does."""

    def check(self, sides: Sides) -> None:
        for side in sides:
            side.require(2, "EverySide")


class Held(FID):
    """A measure of one's own of a role that no other has."""

    def check(self, sides: Sides) -> None:
        sides["held-back"].require(2, "Held")


def test_a_plan_has_the_sides_that_come_and_any_other_empty() -> None:
    plan = Plan.of([EverySide(), Held()], real=2, fake=2)
    assert plan.scored == [EverySide()]
    assert "Held needs at least 2 held-back samples, got 0" in plan.lines[0]
    assert Plan.of([Held()], 0, 0, **{"held-back": 2}).scored == [Held()]


def test_a_plan_knows_of_every_measure_before_its_network_is_loaded() -> None:
    plenty = dict.fromkeys(("real", "fake", "train", "heldout"), 10**6)
    assert Plan.of(list(MEASURES), **plenty).unscored == {}


def test_a_merge_scores_what_training_samples_are_in_its_files(tmp_path: Path) -> None:
    metric = GenerativeMetrics([AuthPct()], patches())
    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    for role in ("train", "fake"):
        metric.update(images, role=role)
    metric.save_state(tmp_path / "state")
    result = run("merge", tmp_path / "state", "-o", tmp_path / "all")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("authpct_patches\t0\n")
    assert "|train:30|" in result.stdout


def test_a_merge_does_not_swallow_an_error(tmp_path: Path) -> None:
    metric = GenerativeMetrics([IS(num_samples=10)], patches())
    metric.update(torch.from_numpy(PIXELS).permute(0, 3, 1, 2), real=False)
    metric.save_state(tmp_path / "state")
    result = run("merge", tmp_path / "state", "-o", tmp_path / "all")
    assert result.exit_code == 3
    assert "20 samples have an index beyond that" in result.stderr
    assert (tmp_path / "all").exists()


# --- the Inception Score ----------------------------------------------------------------------------------------------


def fidelity(numbers: list[int], splits: int = 10) -> list[float]:
    images = torch.from_numpy(PIXELS[numbers]).permute(0, 3, 1, 2)
    logits = Patches()(images).logits
    assert logits is not None
    return list(isc_features_to_metric(logits, splits=splits).values())


@pytest.mark.parametrize(("measure", "splits"), [("is", 10), ("is(splits=3)", 3), ("is(num_samples=30)", 10)])
def test_the_inception_score_is_torch_fidelitys(measure: str, splits: int) -> None:
    read = compared(*named("REAL", "FAKE"), "--measures", measure)
    assert list(read["scores"].values()) == pytest.approx(fidelity(list(range(N)), splits), rel=1e-6)
    assert "num_samples=30" in read["signature"]


def test_splits_in_turn_can_still_be_asked_for() -> None:
    read = compared(*named("REAL", "FAKE"), "--measures", "is(assignment=interleaved)")
    metric = GenerativeMetrics([IS()], patches())
    metric.update(torch.from_numpy(PIXELS).permute(0, 3, 1, 2), real=False)
    assert list(read["scores"].values()) == pytest.approx([v.item() for v in metric.compute().values()], rel=1e-9)


def skipping_ranks(_: Any) -> dict[str, float]:
    return dict(job("is", skip=True).compare(*named("REAL", "BROKEN")).result.scores)


def test_images_that_are_skipped_have_no_place_in_the_splits(ranks: Ranks) -> None:
    expected = fidelity([i for i, image in enumerate(BROKEN) if image is not None])
    read = compared(*named("REAL", "BROKEN"), "--measures", "is", "--on-error", "skip")
    assert list(read["scores"].values()) == pytest.approx(expected, rel=1e-6)
    assert "is(num_samples=26)" in read["signature"]
    assert [name[-4:] for name, _ in read["fake"]["unreadable"]] == ["N[3]", "N[4]", "[17]", "[29]"]
    for scores in ranks.run(WORLD, skipping_ranks):
        assert list(scores.values()) == pytest.approx(expected, rel=1e-6)


def test_another_number_of_samples_is_refused_before_work() -> None:
    TOUCHED.clear()
    result = run("compare", *named("REAL", "WATCHED"), *TINY, "--measures", "is(num_samples=20)")
    assert result.exit_code == 3
    assert "expected 20 generated images, got 40" in result.stderr
    result = run("compare", *named("WATCHED", "FAKE"), *TINY, "--measures", "is(num_samples=31)")
    assert result.exit_code == 4
    assert "IS needs at least 31 fake samples, got 30" in result.stderr
    assert set(TOUCHED) <= {0}  # the first of a dataset tells whether a range is needed


# --- all that does not read -------------------------------------------------------------------------------------------


def broken_folder(path: Path, broken: tuple[int, ...]) -> Path:
    path.mkdir()
    for i, image in enumerate(PIXELS):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "png")
        whole = stream.getvalue()
        (path / f"{i:03}.png").write_bytes(whole[:-40] if i in broken else whole)  # whose header reads
    return path


def failing_ranks(_: Any, real: Path, fake: Path) -> str:
    with pytest.raises(ValueError, match="do not read") as error:
        job("fid").compare(str(real), str(fake))
    return str(error.value)


def test_all_images_that_do_not_read_are_listed(ranks: Ranks, tmp_path: Path) -> None:
    sides = broken_folder(tmp_path / "real", (2, 9, 28)), broken_folder(tmp_path / "fake", (0, 29))
    names = [str(sides[0] / f"{i:03}.png") for i in (2, 9, 28)] + [str(sides[1] / f"{i:03}.png") for i in (0, 29)]
    result = run("compare", *sides, *TINY, "--batch-size", 4)
    assert result.exit_code == 3
    assert "note: " + names[0] + " does not read; the others are decoded" in result.stderr
    assert [line.split(":")[0].strip() for line in result.stderr.splitlines() if line.startswith("  ")] == names
    first, *others = ranks.run(WORLD, failing_ranks, *sides)
    assert all(name in first for name in names)
    assert all("do not read (5)" in error and "rank 0" in error for error in others)


# --- what else is known before work -----------------------------------------------------------------------------------


def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)


def unchanged(_: pytest.MonkeyPatch) -> None:
    pass


INCEPTION = ["--extractor", "inception-v3"]


@pytest.mark.parametrize(
    ("prepare", "options", "said"),
    [
        (without_matplotlib, [*TINY, "--measures", "prdc(k=3)", "--report", "page.html"], "need matplotlib"),
        (without_network, [*INCEPTION, "--weights", "https://localhost/net.pth"], "cannot be fetched"),
        (unchanged, [*INCEPTION, "--weights", "none.pth"], "expected a file, found none at none.pth"),
        (unchanged, [*INCEPTION, "--weights", "6726825d.pth"], "expected sha256 6726825d"),
        (unchanged, [*TINY, "--device", "quantum"], "device: expected one of this machine, got 'quantum'"),
        (
            unchanged,
            [*TINY, "--json", "6726825d.pth/x.json"],
            "6726825d.pth/x.json: expected a file that can be written",
        ),
        (unchanged, [*TINY, "--report", "x" * 300], "expected a file that can be written, got: File name too long"),
        (unchanged, [*INCEPTION, "--weights", "example.org/net.pth"], "an address begins with https://"),
        (unchanged, [*TINY, "--json", "x", "--report", "x"], "got one that is read or written to already"),
        (unchanged, [*TINY, "--json", ""], "expected a file that can be written"),
    ],
)
def test_what_is_missing_is_known_before_an_image_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Any, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "6726825d.pth").write_bytes(b"<html>")
    prepare(monkeypatch)
    TOUCHED.clear()
    result = run("compare", *named("WATCHED", "FAKE"), *options)
    assert result.exit_code == 3, result.output
    assert said in result.stderr
    assert set(TOUCHED) <= {0}  # the first of a dataset tells whether a range is needed
    assert [path.name for path in tmp_path.iterdir()] == ["6726825d.pth"]


def test_a_report_without_charts_needs_no_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_matplotlib(monkeypatch)
    compared(*named("REAL", "FAKE"), "--report", tmp_path / "page.html")
    assert (tmp_path / "page.html").exists()


def test_a_reference_that_does_not_serve_is_refused_before_images_are_read(tmp_path: Path) -> None:
    assert run("reference", *named("FAKE"), *TINY, "--measures", "fid", "-o", tmp_path / "x.npz").exit_code == 0
    TOUCHED.clear()
    result = run("compare", *named("WATCHED"), tmp_path / "x.npz", *TINY, "--measures", "fid,prdc(k=3)")
    assert result.exit_code == 3
    assert "has no ['bank_12']" in result.stderr
    result = run("reference", *named("WATCHED"), *TINY, "--measures", "prdc(k=3)", "-o", tmp_path / "y.npz")
    assert result.exit_code == 3
    assert "An .npz holds mean and covariance. Remedy: --measures fid" in result.stderr
    assert set(TOUCHED) <= {0}  # the first of a dataset tells whether a range is needed


@pytest.mark.parametrize(
    "arguments",
    [["compare", "a", "b", "--report", "-"], ["reference", "a", "-o", "-"], ["merge", "a", "-o", "-"]],
    ids=lambda arguments: arguments[0],
)
def test_only_json_goes_to_stdout(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 3
    assert "--json - alone goes to stdout" in done.output
    assert not list(tmp_path.iterdir())


def test_an_output_does_not_take_the_place_of_a_source(tmp_path: Path) -> None:
    assert run("reference", *named("FAKE"), *TINY, "--measures", "fid", "-o", tmp_path / "x").exit_code == 0
    before = (tmp_path / "x").read_bytes()
    result = run("compare", tmp_path / "x", *named("FAKE"), *TINY, "--json", tmp_path / "x")
    assert result.exit_code == 3
    assert "got one that is read or written to already" in result.stderr
    assert (tmp_path / "x").read_bytes() == before


def references_on_each_rank(_: Any, real: Path, fake: Path) -> tuple[dict[str, float], str]:
    result = job("fid,prdc(k=3)").compare(str(real), str(fake)).result
    with pytest.raises(ValueError, match="has no"):  # on every rank: none may wait for one that was refused
        job("fid,is").compare(str(real), str(fake))
    return dict(result.scores), result.signature


def test_ranks_count_a_reference_as_the_generated_side_once(ranks: Ranks, tmp_path: Path) -> None:
    for name in ("REAL", "FAKE"):
        measures = ["--measures", "fid,prdc(k=3)"]
        assert run("reference", *named(name), *TINY, *measures, "-o", tmp_path / name).exit_code == 0
    expected = compared(*named("REAL", "FAKE"), "--measures", "fid,prdc(k=3)")
    for scores, signature in ranks.run(WORLD, references_on_each_rank, tmp_path / "REAL", tmp_path / "FAKE"):
        assert scores == pytest.approx(expected["scores"], rel=1e-9)
        assert signature == expected["signature"]
