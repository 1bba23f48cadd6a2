"""The clocks of a monitor: by epochs at validation, by epochs without one, by training steps; one of them runs."""

# ruff: noqa: ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from test_report_monitor import frames, listed, page_of
from torch import Tensor, nn
from torch.utils.data import DataLoader
from trainings import QUIET, REAL, TINY, Model, Pixels, Stream, expected, fit, gan_steps, loader, monitor, trainer

from streaming_metrics import FID, PRDC, GenerativeMetrics

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    *QUIET,
    TINY,
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`"),
]

KEY = "val/fd_pixels"


class Blind(Model):
    """Has no validation."""

    validation_step: Any = LightningModule.validation_step


class Gan(Blind):
    """As Lightning's own example of a GAN: manual optimisation of two optimizers, and no validation."""

    training_step: Any = gan_steps

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]


def train(*callbacks: Callback, model: LightningModule | None = None, **options: Any) -> Trainer:
    """Train without a validation: 6 batches an epoch."""
    training = trainer(*callbacks, **options)
    training.fit(model or Blind(), loader(shuffle=True))
    return training


def elsewhere(**options: Any) -> Any:
    """Return a monitor that needs no validation."""
    return monitor([FID()], **{"real": loader(), **options})


def logged(folder: Path) -> dict[int, float]:
    """Return the values that a CSV logger was given, by step."""
    with (folder / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[KEY]) for row in csv.DictReader(file) if row.get(KEY)}


# Nothing would be measured.

FIELDS = ("options", "model", "validation", "trained", "message")
NEVER = [
    ({}, Blind, None, {}, "Blind has no validation_step.*Remedy.*real= a reference file or a DataLoader"),
    ({}, Blind, loader(), {}, "Blind has no validation_step"),
    ({}, Gan, None, {}, "Gan has no validation_step"),
    ({}, Model, None, {}, "no validation dataloader"),
    ({}, Model, loader(), {"limit_val_batches": 0}, "limit_val_batches=0"),
    ({"real": loader(), "fake_key": "reconstruction"}, Model, None, {}, "fake_key=.*takes images from validation"),
    ({"real": loader(), "sample": lambda model, n, batch: REAL[:n]}, Model, None, {}, "parameter `batch`"),
    ({"every_n_epochs": 3}, Model, loader(), {}, r"every 3 epochs.*max_epochs=2\) ends before.*smaller every_n_epochs"),
    ({}, Model, loader(), {"check_val_every_n_epoch": 3}, r"max_epochs=2\) ends before"),
    ({"every_n_epochs": 2}, Model, loader(), {"check_val_every_n_epoch": 3, "max_epochs": 5}, "ends before"),
    ({}, Model, loader(), {"max_steps": 5, "max_epochs": -1}, r"max_steps=5\) ends before"),
    ({}, Model, loader(), {"val_check_interval": 13, "check_val_every_n_epoch": None}, "ends before"),
    ({"real": loader(), "every_n_epochs": 3}, Blind, None, {}, "every 3 epochs, at the end of a training epoch"),
    ({"real": loader(), "every_n_train_steps": 13}, Blind, None, {}, "every 13 training steps"),
]


@pytest.mark.parametrize(FIELDS, NEVER)
def test_a_training_that_would_never_measure_is_refused_at_its_start(
    options: Any, model: Any, validation: Any, trained: Any, message: str
) -> None:
    drawn = []
    training = trainer(monitor([FID()], **options), **trained)
    asked = model()
    asked.training_step = lambda *batch: drawn.append(batch)
    with pytest.raises(ValueError, match=f"(?s)Nothing would ever be measured.*{message}"):
        training.fit(asked, loader(), validation)
    assert not drawn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_train_steps": 0, "real": loader()}, "≥ 1"),
        ({"every_n_train_steps": 5, "every_n_epochs": 2, "real": loader()}, "expected one of them, got both"),
        ({"every_n_train_steps": 5}, 'got real="val".*val_check_interval=n'),
        ({"every_n_train_steps": 5, "real": loader(), "fake_key": "fake"}, "fake_key=.*val_check_interval=n"),
    ],
)
def test_clocks_that_cannot_be_meant_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        monitor([FID()], **options)


def test_a_sampler_for_validation_batches_has_none_in_training() -> None:
    with pytest.raises(ValueError, match="val_check_interval=n"):
        train(elsewhere(every_n_train_steps=2, sample=lambda model, n, batch: batch))


def test_an_epoch_that_may_never_end_is_told_of_before_and_after() -> None:
    training = trainer(monitor([FID()]), max_steps=4, max_epochs=-1)
    before = pytest.warns(UserWarning, match=r"do not within Trainer\(max_steps=4\), nothing is measured. Remedy")
    after = pytest.warns(UserWarning, match="measured nothing in this training.*val_check_interval=n")
    with before, after:
        training.fit(Model(), DataLoader(Stream(REAL.float()[:, None]), batch_size=1), loader())


def test_a_resumed_training_with_nothing_left_to_measure_goes_on(tmp_path: Path) -> None:
    fit(monitor([FID()], every_n_epochs=2)).save_checkpoint(tmp_path / "a.ckpt")
    resumed = trainer(monitor([FID()], every_n_epochs=2), max_epochs=3)
    resumed.fit(Model(), loader(), loader(), ckpt_path=tmp_path / "a.ckpt")
    assert resumed.current_epoch == 3


# Without a validation.


def test_an_epochs_end_measures_against_a_loader_or_a_file(tmp_path: Path) -> None:
    reference = GenerativeMetrics([FID()], Pixels())
    reference.update(REAL, real=True)
    reference.save_reference(tmp_path / "real.safetensors")
    drawn = torch.cat([REAL[:8], REAL[:8], REAL[:4]])
    for number, real in enumerate([loader(), tmp_path / "real.safetensors"]):
        folder = tmp_path / str(number)
        watching = elsewhere(real=real, sample=lambda model, n: REAL[:n], report=True)
        fitted = train(watching, logger=CSVLogger(folder, "", ""))
        assert fitted.callback_metrics[KEY] == pytest.approx(expected(drawn, measures=[FID()])[KEY], rel=1e-6)
        assert logged(folder).keys() == {5, 11}, "the steps at which Lightning logs an epoch's end"
        assert frames(page_of(folder)) == [0, 1]


@pytest.mark.parametrize("options", [{}, {"every_n_epochs": 2}])
def test_lightnings_own_gan_is_measured(options: dict[str, Any], tmp_path: Path) -> None:
    fitted = train(elsewhere(**options), model=Gan(), logger=CSVLogger(tmp_path, "", ""), max_epochs=4)
    assert sorted(logged(tmp_path)) == [5, 11, 17, 23][options.get("every_n_epochs", 1) - 1 :: len(options) + 1]
    assert fitted.callback_metrics[KEY].isfinite()


def test_validation_rules_where_there_is_one(tmp_path: Path) -> None:
    fit(elsewhere(), logger=CSVLogger(tmp_path, "", ""), val_check_interval=2, max_epochs=1)
    assert logged(tmp_path).keys() == {1, 3, 5}


# By training steps.


def stamped(model: LightningModule, n: int) -> Tensor:
    """Return images whose distance to others tells the step."""
    return (REAL[:n].float() * (1 - 0.01 * model.trainer.global_step)).to(torch.uint8)


def test_every_n_steps_log_that_step_and_no_other(tmp_path: Path) -> None:
    noted = []

    class Sees(Callback):
        def on_train_batch_end(self, trainer: Trainer, *rest: Any, **more: Any) -> None:
            noted.append((trainer.global_step, KEY in trainer.callback_metrics))

    watching = elsewhere(sample=stamped, every_n_train_steps=4)
    best = ModelCheckpoint(tmp_path / "best", "{step}", monitor=KEY, every_n_train_steps=4, save_top_k=-1)
    options = {"log_every_n_steps": 5, "max_epochs": 3, "logger": CSVLogger(tmp_path, "", "")}
    train(watching, Sees(), best, **options)
    steps = [4, 8, 12, 16]
    drawn = {step: (torch.cat([REAL[:8], REAL[:8], REAL[:4]]) * (1 - 0.01 * step)).to(torch.uint8) for step in steps}
    values = {step: expected(images, measures=[FID()])[KEY] for step, images in drawn.items()}
    assert logged(tmp_path) == pytest.approx({step - 1: value for step, value in values.items()}, rel=1e-6)
    assert noted[2:4] == [(3, False), (4, True)], "callbacks of that step see it"
    saved = {name.split("=")[-1]: float(value) for name, value in best.best_k_models.items()}
    assert saved == pytest.approx({f"{step}.ckpt": value for step, value in values.items()}, rel=1e-6)


def test_gradients_are_accumulated_and_a_step_is_measured_once(tmp_path: Path) -> None:
    train(elsewhere(every_n_train_steps=2), accumulate_grad_batches=2, logger=CSVLogger(tmp_path, "", ""))
    assert logged(tmp_path).keys() == {1, 3, 5}


def test_two_optimizers_may_step_over_a_multiple(tmp_path: Path) -> None:
    train(elsewhere(every_n_train_steps=5), model=Gan(), logger=CSVLogger(tmp_path, "", ""), max_epochs=1)
    assert logged(tmp_path).keys() == {2, 4}, "after 6 and 10 steps of both"


class Modal(Blind):
    """Parts in modes of their own, and a norm that would count what it sees in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 192), nn.BatchNorm1d(192), nn.Dropout(0.2))
        self.frozen = nn.BatchNorm1d(3)
        self.modes: list[list[bool]] = []

    def sample(self, n: int) -> Tensor:
        self.modes.append([self.layer.training, self.frozen.training, torch.is_grad_enabled()])
        return super().sample(n)

    def on_train_start(self) -> None:
        self.frozen.eval()


@pytest.mark.parametrize("options", [{"every_n_train_steps": 2}, {}])
def test_the_training_is_the_same_bit_by_bit(options: dict[str, Any]) -> None:
    def weights(*callbacks: Callback) -> dict[str, Tensor]:
        seed_everything(1, verbose=False)
        model = Modal()
        train(*callbacks, model=model)
        assert (model.layer.training, model.frozen.training) == (True, False)
        assert [True, False, True] in model.modes
        if callbacks:
            assert [False, False, False] in model.modes
        return model.state_dict()

    without, watched = weights(), weights(elsewhere(**options))
    assert all(torch.equal(without[name], watched[name]) for name in without)


@pytest.mark.usefixtures("forks")
@pytest.mark.filterwarnings("ignore:Using `DistributedSampler` with the dataloaders")
@pytest.mark.parametrize("options", [{"every_n_train_steps": 2}, {}])
def test_two_ranks_measure_at_the_same_step(options: dict[str, Any], tmp_path: Path) -> None:
    def run(folder: Path, batch_size: int, **devices: Any) -> dict[int, float]:
        watching = elsewhere(sample=lambda model, n: stamped(model, n), batch_size=batch_size, **options)
        training = trainer(watching, max_epochs=1, logger=CSVLogger(folder, "", ""), **devices)
        training.fit(Blind(), loader(REAL[:22], batch_size=batch_size // 2))
        return logged(folder)

    one, two = run(tmp_path / "one", 8), run(tmp_path / "two", 4, devices=2, strategy="ddp_fork")
    assert two.keys() == one.keys() == ({1, 3, 5} if options else {5})


class Average(WeightAveraging):
    """Lightning's average of weights."""

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None


def test_averaged_weights_that_no_validation_swaps_in_are_told_of() -> None:
    with pytest.warns(UserWarning, match="the raw weights. Remedy"):
        train(elsewhere(), Average())


# Several measurements an epoch, in a report.


def by_steps(folder: Path, **options: Any) -> Trainer:
    watching = monitor([FID(), PRDC(k=2)], report=True)
    return fit(watching, val_check_interval=3, check_val_every_n_epoch=None, default_root_dir=folder, **options)


@pytest.mark.slow
def test_every_measurement_of_a_training_by_steps_is_in_the_report(tmp_path: Path) -> None:
    by_steps(tmp_path, max_steps=24, max_epochs=-1)
    page = page_of(tmp_path)
    assert frames(page) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert listed(page)[::7] == [str(epoch) for epoch in frames(page)]
    assert listed(page)[1::7] == ["2", "5", "8", "11", "14", "17", "20", "23"]
    assert "Epoch 3, step 23, counted from 0." in page.said
    assert [image["alt"] for image in page.images if "data-epoch" in image][-1] == "Generated samples, epoch 3, step 23"
    assert any(name == "aria-label" and "step by step" in value for _, name, value in page.attributes)


def test_epochs_with_one_measurement_are_drawn_by_epoch(tmp_path: Path) -> None:
    fit(monitor([FID()], report=True), default_root_dir=tmp_path)
    assert any(name == "aria-label" and "epoch by epoch" in value for _, name, value in page_of(tmp_path).attributes)


@pytest.mark.slow
def test_a_checkpoint_keeps_every_measurement_and_a_resumed_run_forgets_later_ones(tmp_path: Path) -> None:
    middle = by_steps(tmp_path)
    middle.save_checkpoint(tmp_path / "middle.ckpt")
    before = listed(page_of(tmp_path))
    watching = monitor([FID(), PRDC(k=2)], report=True)
    options = {"val_check_interval": 3, "check_val_every_n_epoch": None, "default_root_dir": tmp_path}
    trainer(watching, max_epochs=4, **options).fit(Model(), loader(), loader(), ckpt_path=tmp_path / "middle.ckpt")
    assert listed(page_of(tmp_path))[1::7] == ["2", "5", "8", "11", "14", "17", "20", "23"]
    trainer(watching, max_epochs=3, **options).fit(Model(), loader(), loader(), ckpt_path=tmp_path / "middle.ckpt")
    assert listed(page_of(tmp_path))[1::7] == ["2", "5", "8", "11", "14", "17"]
    assert listed(page_of(tmp_path))[: len(before)] == before


def test_the_history_of_an_older_checkpoint_is_taken_up(tmp_path: Path) -> None:
    fitted = fit(monitor([FID()], report=True), default_root_dir=tmp_path)
    fitted.save_checkpoint(tmp_path / "new.ckpt")
    checkpoint = torch.load(tmp_path / "new.ckpt", weights_only=False)
    del checkpoint["GenerationMonitor"]["val/"]["steps"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    resumed = trainer(monitor([FID()], report=True), max_epochs=3, default_root_dir=tmp_path)
    resumed.fit(Model(), loader(), loader(), ckpt_path=tmp_path / "old.ckpt")
    assert listed(page_of(tmp_path))[::3] == ["0", "1", "2"]
    assert listed(page_of(tmp_path))[1::3] == ["–", "–", "17"]


class Critic(Gan):
    """Three steps of one optimizer and one of the other a batch."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        often, once = self.trainer.strategy._lightning_optimizers
        for optimizer in [often, often, often, once]:
            optimizer.step()


class InTurn(Model):
    """Two optimizers that step in turn: one a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        self.trainer.strategy._lightning_optimizers[batch_idx % 2].step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), 0.0), torch.optim.SGD(self.parameters(), 0.0)]


@pytest.mark.parametrize(
    ("watching", "model", "options"),
    [
        (lambda: elsewhere(every_n_train_steps=20), Critic, {"max_epochs": 1}),
        (lambda: monitor([FID()]), InTurn, {"max_steps": 6, "max_epochs": -1}),
    ],
)
def test_steps_that_cannot_be_foreseen_are_no_reason_to_refuse(
    watching: Any, model: Any, options: dict[str, Any]
) -> None:
    training = trainer(watching(), **options)
    training.fit(model(), loader(), loader())
    assert training.callback_metrics[KEY].isfinite()
