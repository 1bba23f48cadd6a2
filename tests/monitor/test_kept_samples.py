"""Kept samples: files of the first generated images of each measured epoch, whole or not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from trainings import QUIET, TINY, Model, fit, loader, monitor, trainer, validate

from streaming_metrics import FID
from streaming_metrics.images import find_source
from streaming_metrics.monitor.kept_samples import KeptSamples

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FEW = pytest.mark.filterwarnings("ignore::streaming_metrics.measures.base.BiasWarning")
pytestmark = [*QUIET, TINY, FEW]


class Frozen(Model):
    """Does not learn, so that only the noise could tell its epochs apart."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def folders(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir())


def images(path: Path) -> Tensor:
    source: Any = find_source(str(path))
    return torch.stack([source[i] for i in range(len(source))])


def test_each_measurement_keeps_its_first_images(tmp_path: Path) -> None:
    watching = monitor([FID()], keep_samples=tmp_path / "samples", keep=12, log_images=3)
    fit(watching)
    assert folders(tmp_path / "samples") == ["epoch=00-step=6", "epoch=01-step=12"]
    last = tmp_path / "samples" / "epoch=01-step=12"
    assert folders(last) == [f"{k:04d}.png" for k in range(12)]
    assert len(watching.samples) == 3
    assert torch.equal(images(last)[:3], watching.samples)
    assert not torch.equal(images(last), images(tmp_path / "samples" / "epoch=00-step=6"))


def test_images_are_of_the_same_noise_every_time(tmp_path: Path) -> None:
    fit(monitor([FID()], keep_samples=str(tmp_path)), model=Frozen())
    first, second = (images(tmp_path / name) for name in folders(tmp_path))
    assert torch.equal(first, second)
    assert len(first) == 20  # all that were generated


def test_steps_are_those_that_the_clock_measures_at(tmp_path: Path) -> None:
    fit(monitor([FID()], real=loader(), every_n_train_steps=4, keep_samples=tmp_path, keep=2))
    assert folders(tmp_path) == ["epoch=00-step=4", "epoch=01-step=12", "epoch=01-step=8"]


@pytest.mark.parametrize("options", [{"num_sanity_val_steps": 2, "max_epochs": 0}, {"fast_dev_run": True}])
def test_rehearsals_keep_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    fit(monitor([FID()], keep_samples=tmp_path / "samples"), **options)
    assert not (tmp_path / "samples").exists()


def test_only_trainings_keep_samples(tmp_path: Path) -> None:
    validate(monitor([FID()], keep_samples=tmp_path / "samples"))
    assert not (tmp_path / "samples").exists()


def test_a_resumed_run_writes_its_epochs_anew(tmp_path: Path) -> None:
    kept = KeptSamples(tmp_path, 2)
    kept.write("epoch=00-step=6", torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    kept.write("epoch=00-step=6", torch.full((2, 3, 8, 8), 9, dtype=torch.uint8))
    assert folders(tmp_path) == ["epoch=00-step=6"]
    assert images(tmp_path / "epoch=00-step=6").eq(9).all()
    assert len(images(tmp_path / "epoch=00-step=6")) == 2


def test_what_fails_halfway_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptSamples(tmp_path, 2)
    kept.write("epoch=00-step=6", torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    encoded = iter([b"one"])
    monkeypatch.setattr("streaming_metrics.monitor.kept_samples.png_of", lambda image: next(encoded))  # noqa: ARG005
    with pytest.raises(StopIteration):
        kept.write("epoch=00-step=6", torch.ones(2, 3, 8, 8, dtype=torch.uint8))
    assert folders(tmp_path) == ["epoch=00-step=6"]
    assert images(tmp_path / "epoch=00-step=6").eq(0).all()


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    training = trainer(monitor([FID()], keep_samples=tmp_path / "file"), max_epochs=1)
    with pytest.warns(UserWarning, match=r"Samples of epoch 0 are not kept in .*file"):
        training.fit(Model(), loader(), loader())
    assert training.current_epoch == 1


@pytest.mark.parametrize(
    ("rank", "stage", "dev_batches", "kept"),
    [(0, "fit", 0, True), (1, "fit", 0, False), (0, "test", 0, False), (0, "fit", 1, False)],
)
def test_the_first_rank_alone_keeps_samples_of_trainings(
    tmp_path: Path, rank: int, stage: str, dev_batches: int, kept: bool
) -> None:
    run: Any = SimpleNamespace(stage=stage, dev_batches=dev_batches, is_writer=rank == 0, epoch=3, step=450)
    KeptSamples(tmp_path, 2).keep(run, torch.zeros(3, 3, 8, 8, dtype=torch.uint8))
    assert folders(tmp_path) == (["epoch=03-step=450"] if kept else [])


def test_fewer_than_one_is_refused() -> None:
    with pytest.raises(ValueError, match="keep must be"):
        monitor([FID()], keep_samples="samples", keep=0)
