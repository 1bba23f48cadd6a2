"""Several samplers in one monitor: each has the values of a monitor of its own, and the real side is read once."""

# ruff: noqa: ARG001, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from test_monitor_captioned import WORDS, Agreement
from test_monitor_rehearsal import Untrained
from test_report_monitor import frames, page_of
from torch import Tensor
from trainings import MEASURES, QUIET, REAL, TINY, Model, Pixels, fit, kept_features, loader, monitor, trainer, validate
from typer.testing import CliRunner

from streaming_metrics import FID, PRDC, GenerativeMetrics
from streaming_metrics.cli import app

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch import LightningModule

FEW = pytest.mark.filterwarnings("ignore::streaming_metrics.measures.base.BiasWarning")
pytestmark = [*QUIET, TINY, FEW]


def bent(model: LightningModule, n: int) -> Tensor:
    return (1 - model.sample(n)) ** 2


def negative(model: LightningModule, n: int, batch: list[Tensor]) -> Tensor:
    return 255 - batch[0]


def noisier(model: LightningModule, n: int, batch: list[Tensor]) -> Tensor:
    return (batch[0] / 255 + torch.rand(n, 3, 8, 8)) / 2


FROM_NOTHING: dict[str, Any] = {"cfg=1": "sample", "cfg=3": bent}
BY_BATCH: dict[str, Any] = {"cfg=1": negative, "cfg=3": noisier}


class Counting(Pixels):
    """Counts the images that it looks at."""

    seen: ClassVar[list[int]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return super().forward(images)


def values_of(watching: Any, **options: Any) -> dict[str, float]:
    return {key: float(value) for key, value in fit(watching, **options).callback_metrics.items() if "loss" not in key}


def file_of(path: Path) -> Path:
    reference = GenerativeMetrics(MEASURES, Pixels())
    reference.update(REAL, real=True)
    reference.save_reference(path)
    return path


def under(name: str, values: dict[str, float]) -> dict[str, float]:
    return {key.replace("val/", f"val/{name}/"): value for key, value in values.items()}


CASES: dict[str, dict[str, Any]] = {
    "validation images": {},
    "refreshed": {"refresh_real": True},
    "a loader": {"real": loader()},
    "a file": {"real": "file"},
    "by steps": {"real": loader(), "every_n_train_steps": 6},
    "by batch": {"sample": BY_BATCH, "num_samples": 23},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_each_sampler_has_the_values_of_a_monitor_of_its_own(options: dict[str, Any], tmp_path: Path) -> None:
    options = {"sample": FROM_NOTHING, **options}
    samplers = options.pop("sample")
    if options.get("real") == "file":
        options["real"] = file_of(tmp_path / "real.safetensors")

    def run(sample: Any, sanity: int = 0) -> dict[str, float]:
        seed_everything(0, verbose=False)
        return values_of(monitor(sample=sample, **options), default_root_dir=tmp_path, num_sanity_val_steps=sanity)

    expected: dict[str, float] = {}
    for name, sample in samplers.items():
        expected |= under(name, run(sample))
    assert run(samplers, sanity=1) == pytest.approx(expected, rel=1e-12)
    assert len(expected) == 2 * len(monitor().keys)


ALIKE: dict[str, Any] = {"cfg=1": negative, "cfg=3": lambda model, n, batch: batch[0].flip(-1)}


@pytest.mark.parametrize("samplers", [FROM_NOTHING, ALIKE], ids=["from nothing", "by batch"])
@pytest.mark.usefixtures("forks")
def test_two_ranks_give_the_values_of_one(samplers: dict[str, Any]) -> None:
    alone, both = (
        validate(monitor(sample=samplers, num_samples=11), real=loader(REAL[:11]), **options)
        for options in ({}, {"devices": 2, "strategy": "ddp_fork"})
    )
    assert both == pytest.approx(alone, rel=1e-5)
    assert len(alone) == 2 * len(monitor().keys)


def test_the_real_side_is_looked_at_once_and_the_samples_of_one_sampler_are_held() -> None:
    held = []

    class Watched:
        def bent(self, model: LightningModule, n: int) -> Tensor:
            held.append(kept_features(watching.metric))
            return bent(model, n)

    samplers = {"cfg=1": "sample", "cfg=3": Watched().bent}
    watching = monitor([FID(), PRDC(k=2)], extractor=Counting(), num_features=6, sample=samplers, report=False)
    fit(watching)
    assert held == [0, *[0, 8, 16] * 2]  # its own alone, after a chunk in the rehearsal
    assert sum(Counting.seen) == len(REAL) + 2 * 2 * 20 + 2 * 8


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_checkpoints_go_by_a_sampler_and_a_run_is_resumed(tmp_path: Path) -> None:
    best = ModelCheckpoint(tmp_path, filename="best", monitor="val/cfg=3/fd_pixels", save_last=True)
    watching = monitor([FID(se=True)], sample=FROM_NOTHING, report=tmp_path / "report.html", log_images=1)
    fitted = fit(watching, best, logger=CSVLogger(tmp_path, "", ""), max_epochs=1)
    assert best.best_model_score is not None
    assert [key for key in watching.keys if key.endswith("/fd_pixels")] == [
        "val/cfg=1/fd_pixels",
        "val/cfg=3/fd_pixels",
    ]
    logged = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {*watching.keys} <= {*logged}
    assert {f"val/{name}/signature" for name in FROM_NOTHING} <= {*fitted.logger.experiment.hparams}
    page = page_of(tmp_path)
    assert frames(page) == [0, 0]
    assert [heading for heading in page.headings if heading.startswith("Scores")] == [
        "Scores: val/cfg=1",
        "Scores: val/cfg=3",
    ]
    assert "Side by side" in page.headings
    assert re.search(r"fd_pixels: cfg=. (is better than|and) cfg=.", page.said)
    again = monitor([FID(se=True)], sample=FROM_NOTHING, report=tmp_path / "report.html")
    running = trainer(again, max_epochs=2)
    running.fit(Model(), loader(), loader(), ckpt_path=tmp_path / "last.ckpt")
    for before, after in zip(watching.variants, again.variants):
        assert before.reporter.training.rows == after.reporter.training.rows[:1]
        assert after.reporter.training.epochs == [0, 1]


def test_what_is_kept_is_in_a_folder_for_each_sampler_and_verdicts_are_of_each(tmp_path: Path) -> None:
    folders = {"keep_samples": tmp_path / "looks", "keep_evidence": tmp_path / "evidence"}
    watching = monitor(
        [FID(se=True)], sample={"a": "sample", "b": "sample"}, num_samples=100, decide="fid", keep=2, **folders
    )
    fitted = fit(watching)
    kept = {str(path.relative_to(tmp_path).parent) for path in tmp_path.rglob("*.*") if path.is_file()}
    assert kept == {"evidence/a", "evidence/b"} | {
        f"looks/{name}/epoch={epoch:02d}-step={6 * (epoch + 1)}" for name in "ab" for epoch in range(2)
    }
    values = {key: float(value) for key, value in fitted.callback_metrics.items()}
    for key in ("fd_pixels", "fd_pixels_verdict", "fd_pixels_decided"):
        assert values[f"val/a/{key}"] == values[f"val/b/{key}"]
    first, second = (variant.decider.log.lines for variant in watching.variants)
    assert first == second
    assert len(first) == 2
    one, other = (tmp_path / "evidence" / name / "epoch=01-step=12.json" for name in "ab")
    told = CliRunner().invoke(app, ["test", str(one), str(other), "--json", "-"])
    assert json.loads(told.stdout)["comparisons"][0]["difference"] == 0


AGAIN: dict[str, dict[str, Any]] = {
    "by another monitor": {},
    "at the end": {"decide": "fid", "rescore": 1, "num_samples": 100},
}


@pytest.mark.parametrize("options", AGAIN.values(), ids=AGAIN.keys())
def test_samplers_stay_beside_each_other_in_a_report_written_again(options: dict[str, Any], tmp_path: Path) -> None:
    common = {"report": tmp_path / "report.html", "log_images": 0}
    several = monitor([FID(se=True)], sample=FROM_NOTHING, **common, **options)
    fit(several, monitor([FID()], prefix="other/", **common), max_epochs=1)
    assert page_of(tmp_path).headings.count("Side by side") == 1


def test_metrics_beside_are_of_each_samplers_images() -> None:
    def drawn(shift: int) -> Any:
        return lambda model, n: (REAL[:n].roll(shift, 0), {"captions": WORDS[:n]})

    def run(sample: Any) -> dict[str, float]:
        watching = monitor([FID()], sample=sample, captioned={"agreement": Agreement()}, num_samples=8)
        return validate(watching)

    samplers = {"a": drawn(0), "b": drawn(3)}
    apart = [under(name, run(sample)) for name, sample in samplers.items()]
    assert run(samplers) == pytest.approx(apart[0] | apart[1], rel=1e-12)
    assert apart[0]["val/a/agreement"] != apart[1]["val/b/agreement"]


# Mistakes.

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"sample": {}}, "expected samplers by name, got an empty mapping"),
    "no name": ({"sample": {"": "sample"}}, "got ''"),
    "a slash": ({"sample": {"a/b": "sample"}}, "letters, digits and . _ - = [+], .*got 'a/b'"),
    "a number": ({"sample": {3: "sample"}}, "got 3"),
    "one name for a logger": ({"sample": {"a=1": "sample", "a1": "sample"}}, "a=1, a1 are one name to MLFlowLogger"),
    "of a generator": ({"sample": FROM_NOTHING, "through": "ppl", "generator": "g"}, "through=: expected one sampler"),
    "beside fake_key": ({"sample": FROM_NOTHING, "fake_key": "x"}, "sample= and fake_key=: expected one of them"),
}


@pytest.mark.parametrize(("options", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_found_when_it_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        monitor([FID()], **options)


FOUND_EARLY: dict[str, tuple[dict[str, Any], str]] = {
    "fewer": ({"a": "sample", "b": lambda model, n: REAL[: n - 1]}, r"sample\['b'\]=.*Expected 8 images"),
    "no such method": ({"a": "sample", "b": "draw"}, r"sample\['b'\]='draw': Untrained has no such method"),
    "of both kinds": ({"a": "sample", "b": negative}, "expected a parameter `batch` of all samplers or of none"),
    "another function": ({"a": "sample", "b": lambda n: n}, r"sample\['b'\]=.*expected a function of the number"),
}


@pytest.mark.parametrize(("samplers", "message"), FOUND_EARLY.values(), ids=FOUND_EARLY.keys())
def test_each_sampler_is_rehearsed(samplers: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(monitor([FID()], sample=samplers), model=Untrained(), num_sanity_val_steps=1)
