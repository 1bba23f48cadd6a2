"""Logged values of a monitor: when there are some, who acts on them, and what is shown beside them."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from test_image_log import events
from torch import Tensor
from trainings import (
    QUIET,
    REAL,
    TINY,
    Counts,
    Model,
    fit,
    gan_steps,
    monitor,
    validate,
)

from streaming_metrics import FID
from streaming_metrics.measures.base import Measure, Scalar

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [*QUIET, TINY]


def test_the_sanity_check_draws_one_batch_that_is_not_counted() -> None:
    drawn = []

    def sample(model: LightningModule, n: int) -> Tensor:
        drawn.append((n, model.trainer.sanity_checking))
        return REAL[:n]

    watching = monitor([FID()], sample=sample)
    fitted = fit(watching, Counts(watching), num_sanity_val_steps=2, max_epochs=1)
    assert drawn == [(8, True), (8, False), (8, False), (4, False)]
    assert (fitted.callback_metrics["real"], fitted.callback_metrics["fake"]) == (23, 20)


def test_it_computes_every_n_epochs() -> None:
    drawn = []

    def sample(model: LightningModule, n: int) -> Tensor:
        drawn.append(model.current_epoch)
        return REAL[:n]

    fit(monitor([FID()], sample=sample, every_n_epochs=2, batch_size=20), max_epochs=5)
    assert drawn == [0, 1, 3], "a rehearsal, then every second epoch"


STALE = [
    (lambda key, path: ModelCheckpoint(path, monitor=key), {}, r"ModelCheckpoint\(every_n_epochs=2\)"),
    (
        lambda key, path: ModelCheckpoint(path, monitor=key, every_n_epochs=3),
        {},
        r"ModelCheckpoint\(every_n_epochs=2\)",
    ),
    (lambda key, path: ModelCheckpoint(path, monitor=key, every_n_train_steps=5), {}, "old value"),
    (lambda key, path: EarlyStopping(key), {}, r"Trainer\(check_val_every_n_epoch=2\)"),
]
FRESH = [
    (lambda key, path: ModelCheckpoint(path, monitor=key, every_n_epochs=2), {}),
    (lambda key, path: ModelCheckpoint(path, monitor=key, every_n_epochs=4), {}),
    (lambda key, path: ModelCheckpoint(path, monitor=key), {"check_val_every_n_epoch": 2}),
    (lambda key, path: EarlyStopping(key), {"check_val_every_n_epoch": 2}),
    (lambda key, path: EarlyStopping("val/other", strict=False), {}),
]


@pytest.mark.parametrize(("make", "options", "remedy"), STALE)
def test_acting_on_an_old_value_is_refused_with_the_remedy(
    make: Any, options: Any, remedy: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=remedy):
        fit(monitor([FID()], every_n_epochs=2), make("val/fd_pixels", tmp_path), **options)


@pytest.mark.parametrize(("make", "options"), FRESH)
def test_acting_on_a_fresh_value_is_not(make: Any, options: Any, tmp_path: Path) -> None:
    fit(monitor([FID()], every_n_epochs=2), make("val/fd_pixels", tmp_path), max_epochs=4, **options)


def test_checkpoint_and_early_stopping_act_on_the_key(tmp_path: Path) -> None:
    watching = monitor([FID()], sample=lambda model, n: REAL[:n] // (1 + model.current_epoch))
    best, stop = ModelCheckpoint(tmp_path, "best", monitor="val/fd_pixels"), EarlyStopping("val/fd_pixels", patience=2)
    fitted = fit(best, watching, stop, max_epochs=9)
    assert fitted.current_epoch == 3
    assert torch.load(best.best_model_path, weights_only=False)["epoch"] == 0


def test_grid_and_signature_go_to_the_logger_at_the_step_of_the_scalars(tmp_path: Path) -> None:
    class Gan(Model):
        automatic_optimization = False
        training_step = gan_steps

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]

    model = Gan()
    model.automatic_optimization = False
    fit(monitor([FID()]), model=model, logger=TensorBoardLogger(tmp_path, "", ""))
    written = events(tmp_path)
    steps = [event.step for event in written.Scalars("val/fd_pixels")]
    assert [event.step for event in written.Images("val/samples")] == steps
    assert len(written.Tensors("val/signature/text_summary")) == 1
    assert len(steps) == 2


def test_no_grid_where_none_is_wanted(tmp_path: Path) -> None:
    fit(monitor([FID()], log_images=0), logger=TensorBoardLogger(tmp_path, "", ""))
    assert events(tmp_path).Tags()["images"] == []


@pytest.mark.parametrize("bar", [TQDMProgressBar(), RichProgressBar()])
def test_lightnings_own_bar_shows_the_sampling(bar: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fit(monitor([FID()]), bar, enable_progress_bar=True)
    if isinstance(bar, RichProgressBar):
        tasks = [task for task in bar.progress.tasks if task.description == "Sampling"]
        assert [(task.total, task.completed, task.visible) for task in tasks] == [(20, 20, False)] * 2
    else:
        assert "Sampling:" in capsys.readouterr().out
    assert "val/fd_pixels" in bar.get_metrics(bar.trainer, bar.trainer.lightning_module)


@dataclass(frozen=True)
class Broken(Measure):
    """Is NaN."""

    label = "broken"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("broken"),)

    def statistics(self, spec: Any) -> Any:
        return {}

    def check(self, sides: Any) -> None: ...

    def compute(self, sides: Any, prepared: Any, results: Any) -> dict[str, Tensor]:
        return {"broken": torch.tensor(torch.nan, dtype=torch.float64)}


def test_a_value_that_is_not_finite_is_skipped_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="val/broken_pixels is not finite"):
        assert validate(monitor([Broken(), FID()])).keys() == {"val/fd_pixels"}


def test_a_value_that_is_not_finite_and_monitored_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="EarlyStopping decides by it"):
        fit(monitor([Broken()]), EarlyStopping("val/broken_pixels"))
