"""Isolation of a monitor: the weights it samples with, and the training and checkpoint that it leaves alone."""

# ruff: noqa: ARG001, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

import pickle
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from trainings import (
    QUIET,
    REAL,
    TINY,
    Model,
    Noisy,
    Pixels,
    fit,
    loader,
    monitor,
    trainer,
    validate,
)

from streaming_metrics import FID
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [*QUIET, TINY]


class Swap(Callback):
    """As an EMA callback does: other weights while validating."""

    def __init__(self, start: str, end: str) -> None:
        setattr(self, start, lambda trainer, model: self.set(model, 2.0))
        setattr(self, end, lambda trainer, model: self.set(model, -2.0))

    def set(self, model: LightningModule, bias: float) -> None:
        with torch.no_grad():
            model.layer[0].bias.fill_(bias)


EPOCH, RUN = ("on_validation_epoch_start", "on_validation_epoch_end"), ("on_validation_start", "on_validation_end")


@pytest.mark.parametrize("hooks", [EPOCH, RUN])
def test_an_ema_callback_may_come_before_or_after(hooks: tuple[str, str]) -> None:
    before, after = validate(first := monitor(), Swap(*hooks)), validate(second := monitor(), Swap(*hooks))
    running = trainer(Swap(*hooks), watching := monitor())
    seed_everything(0, verbose=False)
    got = running.validate(Model(), loader(), verbose=False)[0]
    assert got == before == after
    assert torch.equal(watching.samples, first.samples)
    assert torch.equal(second.samples, first.samples)
    assert first.samples.float().mean() > 180


def test_weights_context_is_active_while_sampling_only() -> None:
    active = []

    @contextmanager
    def brighter(model: LightningModule) -> Iterator[None]:
        active.append(True)
        yield
        active.pop()

    def sample(model: LightningModule, n: int) -> Tensor:
        assert active == [True]
        return REAL[:n]

    validate(monitor([FID()], sample=sample, weights_context=brighter))
    assert active == []


@pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled")
@pytest.mark.parametrize(
    "options", [{}, {"real": loader(shuffle=True)}, {"fake_key": "reconstruction"}, {"extractor": Noisy()}]
)
def test_training_ends_in_the_same_weights_with_and_without_it(options: dict[str, Any]) -> None:
    def weights(*callbacks: Callback) -> dict[str, Tensor]:
        model = Model()
        fit(*callbacks, model=model, real=loader(shuffle=True))
        return model.state_dict()

    seed_everything(1, verbose=False)
    without = weights()
    seed_everything(1, verbose=False)
    watched = weights(monitor(**options))
    assert all(torch.equal(without[name], watched[name]) for name in without)


def test_the_checkpoint_holds_nothing_of_it(tmp_path: Path) -> None:
    extractor = nn.Sequential(nn.Flatten(), nn.Linear(192, 6))
    extractor.register_forward_pre_hook(lambda module, images: images[0].float())
    watching = GenerationMonitor([FID()], extractor, num_samples=20, tag="linear", num_features=6)
    with_it, without = ModelCheckpoint(tmp_path / "a", "x"), ModelCheckpoint(tmp_path / "b", "x")
    model = Model()
    fit(watching, with_it, model=model)
    fit(without)
    saved, plain = (torch.load(c.best_model_path, weights_only=False) for c in (with_it, without))
    assert saved["state_dict"].keys() == plain["state_dict"].keys()
    assert saved["optimizer_states"][0]["param_groups"] == plain["optimizer_states"][0]["param_groups"]
    assert not any("GenerationMonitor" in key for key in saved["callbacks"])
    assert not any("xtractor" in name for name, _ in model.named_modules())


def test_sampling_leaves_no_inference_tensors_behind() -> None:
    class Caching(Model):
        table: Tensor | None = None

        def sample(self, n: int) -> Tensor:
            if self.table is None:
                self.table = torch.ones(3 * 8 * 8)
            return (super().sample(n).flatten(1) * self.table).view(n, 3, 8, 8)

    watching, model = monitor(), Caching()
    trainer(watching).validate(model, loader(), verbose=False)
    watching.metric.update(REAL, real=False)
    fit(model=model)


def test_outputs_made_in_inference_mode_are_taken() -> None:
    watching = monitor([FID()], fake_key="reconstruction")
    validate(watching)
    watching.metric.reset()
    watching.metric.update(REAL, real=False)
    assert watching.metric.compute()["fd_pixels"] >= 0


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.float32), ("bf16-true", torch.bfloat16)])
def test_the_sampler_runs_in_the_trainers_precision_and_the_extractor_in_float32(precision: str, dtype: Any) -> None:
    seen = {}

    class Spy(Pixels):
        def forward(self, images: Tensor) -> Tensor:
            seen["extractor"] = torch.is_autocast_enabled("cpu"), torch.get_default_dtype()
            return super().forward(images)

    def sample(model: LightningModule, n: int) -> Tensor:
        seen["sampler"] = torch.is_autocast_enabled("cpu"), model.layer[0].weight.dtype
        return model.sample(n)

    watching = GenerationMonitor([FID()], Spy(), sample, num_samples=20, num_features=6)
    fitted = fit(watching, precision=precision)
    assert seen == {"extractor": (False, torch.float32), "sampler": (precision == "bf16-mixed", dtype)}
    assert fitted.callback_metrics["val/fd_spy"].isfinite()


def test_it_can_be_pickled_and_used() -> None:
    watching = pickle.loads(pickle.dumps(monitor()))
    assert validate(watching) == validate(monitor())
