"""A training with the monitor ends in the weights of one without it, whatever sampling does; and whose score it is."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset
from trainings import QUIET, REAL, TINY, Model, fit, loader, monitor, trainer, validate

from streaming_metrics import FID, KID
from streaming_metrics.images.image_sampler import ImageSampler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lightning.pytorch import LightningModule

pytestmark = [
    *QUIET,
    TINY,
    pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled"),
]


class Stateful(Model):
    """Its layers have buffers and modes, and it holds generators of its own; training depends on all of them."""

    def __init__(self, careless: Callable[[Stateful], Any] | None = None) -> None:
        super().__init__()
        self.careless = careless
        self.layer = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 3 * 8 * 8))
        self.register_buffer("steps", torch.zeros(()))
        self.noise, self.numpy, self.python = torch.Generator(), np.random.default_rng(0), random.Random(0)

    def draw(self, n: int) -> Tensor:
        self.steps += 1
        z = torch.randn(n, 4, generator=self.noise) + float(self.numpy.normal()) + self.python.random()
        return self.layer(z).sigmoid().view(n, 3, 8, 8)

    def sample(self, n: int) -> Tensor:
        if self.careless:
            self.careless(self)
        return self.draw(n)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return (self.draw(len(batch[0])) - batch[0] / 255).square().mean() * (1 + self.steps)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        return {"fake": self.layer(torch.ones(4, 4)).sigmoid().view(4, 3, 8, 8)}


def replace_a_counter(model: Stateful) -> None:
    model.steps = model.steps + 1


def behind_autograds_back(model: Stateful) -> None:
    model.steps.data.fill_(7)


def accumulate(model: Stateful) -> None:
    with torch.enable_grad():
        model.layer(torch.ones(2, 4)).sum().backward()


def in_inference_mode(model: Stateful) -> None:
    with torch.inference_mode():
        model.train()
        model.draw(4)


CARELESS: dict[str, Callable[[Stateful], Any] | None] = {
    "its own generators": None,
    "train()": lambda model: model.train(),
    "eval()": lambda model: model.eval(),
    "a part in train mode": lambda model: model.layer[1].train(),
    "a replaced counter": replace_a_counter,
    "data": behind_autograds_back,
    "freeze()": lambda model: model.freeze(),
    "unfreeze()": lambda model: model.layer.requires_grad_(True),
    "backward()": accumulate,
    "inference mode": in_inference_mode,
}


def trained(*callbacks: Callback, careless: Any = None, **options: Any) -> dict[str, Tensor]:
    seed_everything(1, verbose=False)
    model = Stateful(careless)
    model.layer[0].bias.requires_grad_(False)
    fit(*callbacks, model=model, accumulate_grad_batches=4, val_check_interval=2, **options)
    return model.state_dict()


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("careless", CARELESS)
def test_sampling_changes_nothing_of_the_training(careless: str) -> None:
    watched = trained(monitor([FID()]), careless=CARELESS[careless])
    assert_same(trained(), watched)


def test_sampling_for_a_condition_neither() -> None:
    def sample(model: LightningModule, n: int, batch: Any) -> Tensor:
        return model.train().draw(n)  # pyright: ignore[reportCallIssue]

    assert_same(trained(), trained(monitor([FID()], sample=sample)))


def test_a_chunk_does_not_depend_on_the_chunks_before_it() -> None:
    model = Stateful(lambda model: model.train())
    sampler = ImageSampler("sample", (0, 1))
    first = sampler.draw(model.eval(), 8, seed=5).pixels
    sampler.draw(model, 8, seed=6)
    assert torch.equal(sampler.draw(model, 8, seed=5).pixels, first)
    assert not model.training


def test_what_a_callable_holds_is_put_back_too() -> None:
    norm, noise = nn.BatchNorm2d(3).eval(), torch.Generator()
    before = noise.get_state()
    drawn = ImageSampler(lambda model, n: norm.train()(torch.rand(n, 3, 8, 8, generator=noise)).sigmoid(), (0, 1)).draw(
        None, 8, seed=0
    )
    assert len(drawn) == 8
    assert not norm.training
    assert norm.num_batches_tracked == 0
    assert torch.equal(noise.get_state(), before)


def test_a_cache_that_grew_stays_and_a_canvas_is_copied() -> None:
    class Painter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("cache", torch.zeros(1), persistent=False)
            self.register_buffer("canvas", torch.zeros(4, 3, 8, 8, dtype=torch.uint8))

        def sample(self, n: int) -> Tensor:
            self.cache = torch.ones(n)
            return self.canvas.copy_(REAL[:n])

    painter = Painter()
    assert torch.equal(ImageSampler("sample", (0, 1)).draw(painter, 4, seed=0).pixels, REAL[:4])
    assert painter.cache.shape == (4,)
    assert not painter.canvas.any()


def test_it_is_put_back_after_an_error_too() -> None:
    def fail(model: Stateful) -> None:
        model.train()
        raise RuntimeError("no images today")

    model = Stateful(fail).eval()
    with pytest.raises(RuntimeError, match="no images today"):
        ImageSampler("sample", (0, 1)).draw(model, 4, seed=0)
    assert not model.training


# Reading.


class Augmented(Dataset[Tensor]):
    """Draws from a generator of its own."""

    def __init__(self) -> None:
        self.noise = np.random.default_rng(3)

    def __len__(self) -> int:
        return len(REAL)

    def __getitem__(self, i: int) -> Tensor:
        return REAL[i] // (2 if self.noise.random() < 0.5 else 1)


@pytest.mark.parametrize("options", [{}, {"refresh_real": True}, {"report": True}])
def test_reading_real_images_uses_up_nothing_of_a_shared_generator(options: dict[str, Any], tmp_path: Any) -> None:
    def weights(watch: bool) -> dict[str, Tensor]:
        seed_everything(1, verbose=False)
        shared, data, model = torch.Generator().manual_seed(3), Augmented(), Model()
        training = DataLoader(data, batch_size=4, shuffle=True, generator=shared)
        real = DataLoader(data, batch_size=4, shuffle=True, generator=shared)
        watching = [monitor([FID(), KID(subsets=3, subset_size=6)], real=real, **options)] if watch else []
        trainer(*watching, default_root_dir=tmp_path).fit(model, training, loader())
        return model.state_dict()

    assert_same(weights(watch=False), weights(watch=True))


@pytest.mark.usefixtures("forks")
def test_a_generator_that_differs_between_ranks_shuffles_alike() -> None:
    class Late(DataLoader):  # pyright: ignore[reportMissingTypeArgument]
        def __iter__(self) -> Iterator[Any]:
            return super().__iter__()

    class Reseed(Callback):
        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            shuffled.generator.manual_seed(trainer.global_rank)  # pyright: ignore

    shuffled: Any = Late(REAL[:11], batch_size=2, shuffle=True, generator=torch.Generator())  # pyright: ignore
    alone = validate(monitor([FID()], real=shuffled))
    assert validate(monitor([FID()], real=shuffled), Reseed(), devices=2, strategy="ddp_fork") == pytest.approx(alone)


# Which weights.


class Weight(Model):
    """Training adds one to its weight, and its samples show it."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.level = nn.Parameter(torch.zeros(()))

    def sample(self, n: int) -> Tensor:
        return REAL[:n] // 8 + self.level.round().byte()

    def training_step(self, batch: Any, batch_idx: int) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        optimizer: Any = self.optimizers()
        optimizer.step()
        with torch.no_grad():
            self.level += 10


class EMA(EMAWeightAveraging):
    """Lightning's own, and a way back to the weights in training."""

    @contextmanager
    def raw(self, module: LightningModule) -> Iterator[None]:
        """Inside, the weights in training; Lightning has swapped the average in for the whole validation."""
        is_swapped = self._average_model is not None
        if is_swapped:
            self._swap_models(module)
        try:
            yield
        finally:
            if is_swapped:
                self._swap_models(module)


@pytest.mark.parametrize("is_last", [False, True])
def test_raw_weights_beside_lightnings_average(is_last: bool) -> None:
    ema = EMA(decay=0.5)
    average, raw = monitor([FID()]), monitor([FID()], prefix="raw/", weights_context=ema.raw)
    callbacks = [average, raw, ema] if is_last else [ema, raw, average]
    model = Weight()
    fit(*callbacks, model=model, max_epochs=1)
    levels = [10.0]
    for step in range(1, 6):
        levels.append((levels[-1] + 10 * (step + 1)) / 2)
    drawn = torch.cat([REAL[:8], REAL[:8], REAL[:4]])[:16] // 8
    assert (raw.samples - drawn).unique().tolist() == [60]
    assert (average.samples - drawn).unique().tolist() == [round(levels[-1])]
    assert model.level == levels[-1]


def test_an_average_that_has_not_begun_is_warned_of(tmp_path: Path) -> None:
    late = EMAWeightAveraging(decay=0.5, update_starting_at_step=100)
    with pytest.warns(UserWarning, match="EMAWeightAveraging has averaged no weights yet.*Remedy: begin"):
        fit(monitor([FID()], report=tmp_path / "report.html"), late, max_epochs=1)
    assert "EMAWeightAveraging has averaged no weights yet" in (tmp_path / "report.html").read_text()

    class Own(Model):
        def __init__(self) -> None:
            super().__init__()
            self.ema = AveragedModel(self.layer)

    with pytest.warns(UserWarning, match=r"Own\.ema has averaged no weights yet"):
        fit(monitor([FID()]), model=Own(), max_epochs=1)


def test_an_average_that_has_begun_is_not() -> None:
    fit(monitor([FID()]), EMAWeightAveraging(decay=0.5), max_epochs=1)
    validate(monitor([FID()]))
