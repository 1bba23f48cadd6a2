"""Readers of a monitor's values: whoever would act on a value of another step is refused, and nobody else.

The oracle is Lightning itself: the same training with the check taken out, in which each value is the step that it was
measured at, and each reader notes it beside the step at which it acts.
"""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset
from trainings import QUIET, TINY, Pixels

from streaming_metrics.measures.base import Measure, Scalar
from streaming_metrics.monitor import GenerationMonitor
from streaming_metrics.monitor.clock import At, Clock, Timeline
from streaming_metrics.monitor.readers import Reader, first_old_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    *QUIET,
    TINY,
    pytest.mark.filterwarnings("ignore:.*could not find the monitored key"),
    pytest.mark.filterwarnings("ignore:.*which is not available but strict"),
    pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization"),
]

KEY = "val/now_pixels"
BATCHES = 6


@dataclass(frozen=True)
class Now(Measure):
    """Is the step at which images were generated."""

    label = "now"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("now"),)

    def statistics(self, spec: Any) -> Any:
        return {}

    def check(self, sides: Any) -> None: ...

    def compute(self, sides: Any, prepared: Any, results: Any) -> dict[str, Tensor]:
        return {"now": torch.tensor(float(STEPS[-1]), dtype=torch.float64)}


STEPS: list[int] = []


def sample(model: LightningModule, n: int) -> Tensor:
    STEPS.append(model.trainer.global_step)
    return torch.zeros(n, 3, 8, 8, dtype=torch.uint8)


class Images(Dataset[Tensor]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: int) -> Tensor:
        return torch.zeros(3, 8, 8, dtype=torch.uint8)


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> Iterator[Tensor]:
        return iter(torch.zeros(BATCHES, 3, 8, 8, dtype=torch.uint8))


class Small(LightningModule):
    """One weight, and perhaps a scheduler on a plateau."""

    def __init__(self, plateau: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.plateau = plateau
        self.read: list[tuple[int, float]] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        return self.weight.square()

    def validation_step(self, batch: Tensor, batch_idx: int) -> Any: ...

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        self.read.append((self.trainer.global_step, math.nan if metric is None else float(metric)))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.1)
        if self.plateau is None:
            return optimizer
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": KEY, **self.plateau}}


class Gan(Small):
    """Two optimizers, stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        for optimizer in self.optimizers():  # pyright: ignore[reportGeneralTypeIssues]
            optimizer.zero_grad()
            self.manual_backward(self.weight.square())
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), 0.1) for _ in range(2)]


class Blind(Small):
    """Has no validation, as Lightning's own example of a GAN."""

    validation_step = LightningModule.validation_step


class Own(Callback):
    """A callback of the user's own, which acts after validation."""

    monitor = KEY

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.read.append((trainer.global_step, float(trainer.callback_metrics[KEY])))


def spied(callback: Any, hook: str, model: Any) -> Any:
    """Return a callback that notes the value whenever it acts on one."""
    act = getattr(callback, hook)

    def acts(trainer: Trainer, *rest: Any) -> Any:
        value = trainer.callback_metrics.get(KEY)
        model.read.append((trainer.global_step, math.nan if value is None else float(value)))
        return act(trainer, *rest)

    setattr(callback, hook, acts)
    return callback


def saving(**options: Any) -> Callable[..., Any]:
    return lambda path, model: spied(
        ModelCheckpoint(path, **{"monitor": KEY, **options}), "_save_topk_checkpoint", model
    )


def stopping(**options: Any) -> Callable[..., Any]:
    return lambda path, model: spied(
        EarlyStopping(KEY, mode="max", patience=99, **options), "_run_early_stopping_check", model
    )


def own(path: Path, model: Any) -> Callback:
    return Own()


def nothing(path: Path, model: Any) -> Callback:
    return Callback()


def elsewhere(**options: Any) -> dict[str, Any]:
    """Return options of a monitor that needs no validation."""
    return {"real": DataLoader(Images(2), batch_size=2), **options}


def plateau(**options: Any) -> Callable[[], Small]:
    return lambda: Small({"strict": False, **options})


DEFERS = hasattr(ModelCheckpoint(), "_defer_save_until_validation")  # since Lightning 2.5.6
FOLLOWED = "fresh" if DEFERS else "old"
STEPWISE = {"val_check_interval": 4, "check_val_every_n_epoch": None}
CASES: list[tuple[str, Callable[..., Any], Callable[[], Small], dict[str, Any], dict[str, Any]]] = [
    # At validation, once an epoch.
    ("fresh", saving(), Small, {}, {}),
    ("fresh", saving(save_on_train_epoch_end=False), Small, {}, {}),
    ("fresh", saving(save_on_train_epoch_end=True), Small, {}, {}),
    ("fresh", saving(every_n_epochs=2), Small, {"every_n_epochs": 2}, {}),
    ("old", saving(), Small, {"every_n_epochs": 2}, {}),
    ("old", saving(save_on_train_epoch_end=True), Small, {}, {"check_val_every_n_epoch": 2}),
    ("fresh", saving(), Small, {}, {"check_val_every_n_epoch": 2}),
    ("benign", saving(save_top_k=0), Small, {"every_n_epochs": 2}, {}),
    ("old", saving(every_n_train_steps=4), Small, {}, {}),
    ("old", saving(every_n_train_steps=6), Small, {}, {}),
    (FOLLOWED, saving(every_n_train_steps=6, save_on_train_epoch_end=False), Small, {}, {}),
    (FOLLOWED, saving(every_n_train_steps=6), Small, {}, {"val_check_interval": 6}),
    *[
        ("fresh", saving(every_n_train_steps=4), Small, {}, {"max_epochs": 1}),
        ("old", saving(train_time_interval=timedelta(0)), Small, {}, {}),
    ]
    * DEFERS,  # before, the first is refused for what would come in a longer training, and the second never saves
    ("old", saving(monitor=None, filename="{epoch}-{val/now_pixels:.1f}", every_n_train_steps=4), Small, {}, {}),
    ("fresh", saving(monitor=None, filename="{epoch}-{val/now_pixels:.1f}"), Small, {}, {}),
    ("benign", saving(), Small, {}, {"max_steps": 15, "max_epochs": -1}),
    ("old", saving(save_top_k=3), Small, {}, {"max_steps": 15, "max_epochs": -1}),
    ("fresh", saving(save_top_k=3, save_on_train_epoch_end=False), Small, {}, {"max_steps": 15, "max_epochs": -1}),
    ("fresh", stopping(), Small, {}, {}),
    ("old", stopping(), Small, {"every_n_epochs": 2}, {}),
    ("fresh", stopping(), Small, {"every_n_epochs": 2}, {"check_val_every_n_epoch": 2}),
    ("old", stopping(check_on_train_epoch_end=True), Small, {}, {"check_val_every_n_epoch": 2}),
    ("fresh", nothing, plateau(), {}, {}),
    ("old", nothing, plateau(), {"every_n_epochs": 2}, {}),
    ("fresh", nothing, plateau(frequency=2), {"every_n_epochs": 2}, {}),
    ("old", nothing, plateau(interval="step", frequency=2), {}, {}),
    ("fresh", nothing, plateau(interval="step", frequency=6), {}, {}),
    ("fresh", own, Small, {}, {}),
    ("fresh", saving(), Gan, {}, {}),
    ("old", saving(every_n_train_steps=4), Gan, {}, {}),
    # At validation, inside the epoch.
    ("fresh", saving(), Small, {}, {"val_check_interval": 2}),
    ("fresh", saving(), Small, {}, {"val_check_interval": 0.5}),
    ("fresh", saving(save_on_train_epoch_end=True), Small, {}, {"val_check_interval": 2}),
    ("old", saving(save_on_train_epoch_end=True), Small, {}, {"val_check_interval": 4}),
    ("old", stopping(check_on_train_epoch_end=True), Small, {}, {"val_check_interval": 4}),
    ("fresh", stopping(), Small, {}, {"val_check_interval": 4}),
    ("old", saving(every_n_train_steps=2), Small, {}, {"val_check_interval": 2}),
    ("fresh", nothing, plateau(interval="step", frequency=2), {}, {"val_check_interval": 2}),
    ("old", nothing, plateau(), {}, {"val_check_interval": 4}),
    ("fresh", nothing, plateau(), {}, {"val_check_interval": 3}),
    ("fresh", saving(), Small, {}, STEPWISE),
    ("old", saving(save_on_train_epoch_end=True), Small, {}, STEPWISE),
    ("fresh", stopping(), Small, {}, STEPWISE),
    ("old", nothing, plateau(interval="step", frequency=4), {}, STEPWISE),
    # At the end of the epoch, without validation.
    ("fresh", saving(), Blind, elsewhere(), {}),
    ("fresh", stopping(), Blind, elsewhere(), {}),
    ("fresh", saving(every_n_epochs=2), Blind, elsewhere(every_n_epochs=2), {}),
    ("old", saving(), Blind, elsewhere(every_n_epochs=2), {}),
    ("old", stopping(), Blind, elsewhere(every_n_epochs=2), {}),
    ("old", saving(every_n_train_steps=4), Blind, elsewhere(), {}),
    ("fresh", nothing, plateau(), elsewhere(), {"limit_val_batches": 0}),
    ("old", nothing, plateau(interval="step", frequency=6), elsewhere(), {"limit_val_batches": 0}),
    # Every n training steps.
    ("fresh", saving(every_n_train_steps=4), Blind, elsewhere(every_n_train_steps=4), {}),
    ("fresh", saving(every_n_train_steps=4), Blind, elsewhere(every_n_train_steps=2), {}),
    ("old", saving(every_n_train_steps=2), Blind, elsewhere(every_n_train_steps=4), {}),
    ("old", saving(), Blind, elsewhere(every_n_train_steps=4), {}),
    ("fresh", saving(), Blind, elsewhere(every_n_train_steps=3), {}),
    ("fresh", saving(every_n_epochs=2), Blind, elsewhere(every_n_train_steps=4), {}),
    ("fresh", saving(every_n_train_steps=2), Small, elsewhere(every_n_train_steps=2), {"accumulate_grad_batches": 2}),
    ("fresh", saving(), Small, elsewhere(every_n_train_steps=2), {"accumulate_grad_batches": 4}),
    ("old", saving(), Small, elsewhere(every_n_train_steps=2), {"accumulate_grad_batches": 2}),
    ("old", stopping(), Small, elsewhere(every_n_train_steps=4), {}),
    ("fresh", stopping(), Small, elsewhere(every_n_train_steps=2), {"val_check_interval": 2}),
    ("old", nothing, plateau(), elsewhere(every_n_train_steps=4), {}),
    ("fresh", nothing, plateau(interval="step", frequency=4), elsewhere(every_n_train_steps=2), {}),
    ("fresh", saving(every_n_train_steps=4), Gan, elsewhere(every_n_train_steps=4), {}),
    ("fresh", saving(), Gan, elsewhere(every_n_train_steps=4), {}),
    ("old", saving(), Gan, elsewhere(every_n_train_steps=5), {}),
]


def run(
    make: Any, model: Small, watched: dict[str, Any], options: dict[str, Any], folder: Path, images: Any = None
) -> None:
    watching = GenerationMonitor([Now()], Pixels(), sample, num_samples=2, batch_size=2, **watched)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    reader = make(folder, model)
    quiet |= {"enable_checkpointing": isinstance(reader, ModelCheckpoint), "max_epochs": 4, "accelerator": "cpu"}
    trainer = Trainer(callbacks=[watching, reader], **(quiet | options))
    trainer.fit(
        model,
        DataLoader(Images(BATCHES)) if images is None else images,
        None if isinstance(model, Blind) else DataLoader(Images(2)),
    )


def acts_on_old(model: Small, *rest: Any) -> bool:
    """Return what Lightning does, by itself."""
    try:
        run(rest[0], model, *rest[1:])
    except (RuntimeError, MisconfigurationException) as error:  # a value was missing
        return "not available" in str(error) or "could not find" in str(error)
    return any(step != value for step, value in model.read if not math.isnan(value))


def marked() -> Iterator[Any]:
    """Yield the cases: slow where one before is alike in verdict, reader, model and clocks, at other numbers."""
    seen: set[Any] = set()
    for number, case in enumerate(CASES):
        verdict, make, model, watched, options = case
        kind = verdict, make.__qualname__, model.__qualname__, frozenset(watched), frozenset(options)
        yield pytest.param(case, id=f"{number}-{verdict}", marks=[pytest.mark.slow] * (kind in seen))
        seen.add(kind)


@pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`")
@pytest.mark.parametrize("case", [*marked()])
def test_what_acts_on_another_steps_value_is_refused_and_nothing_else(
    case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, make, model, watched, options = case
    with pytest.raises(ValueError, match=r"old value.*Remedy: ") if verdict == "old" else nullcontext():
        run(make, model(), watched, options, tmp_path / "checked")
    monkeypatch.setattr("streaming_metrics.monitor.schedule.refuse_old_values", lambda *told: None)
    assert acts_on_old(model(), make, watched, options, tmp_path / "unchecked") == (verdict != "fresh")


def test_a_key_of_tests_is_refused_with_that_of_validations(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ModelCheckpoint monitors 'test/now_pixels'.*Remedy: 'val/now_pixels'"):
        run(saving(monitor="test/now_pixels"), Small(), {}, {}, tmp_path)


def test_a_stream_of_unknown_length_is_no_reason_to_refuse(tmp_path: Path) -> None:
    for name, make in {"a": saving(), "b": stopping(), "c": saving(save_top_k=3)}.items():
        model = Small()
        run(make, model, {}, {"max_steps": 9000, "max_epochs": 2}, tmp_path / name, DataLoader(Stream()))
        assert model.read == [(6, 6.0), (12, 12.0)]


def test_validation_by_the_hour_lets_those_act_who_act_after_it(tmp_path: Path) -> None:
    options = {"val_check_interval": timedelta(0), "check_val_every_n_epoch": 1}
    run(saving(), model := Small(), {}, options, tmp_path / "a")
    assert model.read
    assert all(step == value for step, value in model.read)
    with pytest.raises(ValueError, match="old value"):
        run(saving(save_on_train_epoch_end=True), Small(), {}, options, tmp_path / "b")


def test_long_trainings_are_checked_in_no_time() -> None:
    timeline = Timeline(batches=1_000_000, max_epochs=1000, validate_batches=1_000_000)
    reader = Reader("", "", lambda moment: moment.at is At.BATCH and moment.step % 7500 == 0, {}, steps=7500)
    started = perf_counter()
    assert first_old_value(reader, Clock(At.BATCH, 2500), timeline) is None
    assert first_old_value(reader, Clock(At.BATCH, 5000), timeline) == ((At.BATCH, 0, 7500, 7499, 7500, False), 5000)
    assert perf_counter() - started < 2


@pytest.mark.parametrize(
    ("make", "model", "remedy", "mended", "better"),
    [
        (nothing, plateau(), '"frequency": 6', nothing, plateau(frequency=6)),
        (saving(save_on_train_epoch_end=True), Small, "every_n_epochs=6", saving(every_n_epochs=6), Small),
    ],
)
def test_a_remedy_counts_epochs_that_are_not_validated(
    make: Any, model: Any, remedy: str, mended: Any, better: Any, tmp_path: Path
) -> None:
    watched, options = {"every_n_epochs": 3}, {"check_val_every_n_epoch": 2, "max_epochs": 12}
    with pytest.raises(ValueError, match=f"Remedy: .*{remedy}"):
        run(make, model(), watched, options, tmp_path / "old")
    run(mended, followed := better(), watched, options, tmp_path / "new")
    assert followed.read == [(36, 36.0), (72, 72.0)]
