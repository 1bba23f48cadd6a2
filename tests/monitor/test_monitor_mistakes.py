"""Mistakes in what a monitor is given: each is refused with an error that names it."""

# ruff: noqa: ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from trainings import (
    QUIET,
    REAL,
    TINY,
    fit,
    monitor,
    validate,
)

from streaming_metrics import FID, NotEnoughSamples
from streaming_metrics.monitor.checks import sharding_warning

if TYPE_CHECKING:
    pass

pytestmark = [*QUIET, TINY]


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda model, n: REAL[: n - 1], ValueError, r"Expected 8 images.*got a tensor \(7, 3, 8, 8\)"),
        (lambda model, n: REAL[:n, 0], ValueError, r"Expected 8 images.*got a tensor \(8, 8, 8\)"),
        (lambda model, n: REAL[:n, :2], ValueError, r"got \(8, 2, 8, 8\)"),
        (lambda model, n: REAL[:n].int(), TypeError, "got torch.int32"),
        (lambda model, n: REAL[:n].float(), ValueError, r"value_range=\(0, 1\), got 0 to 255"),
        (lambda model, n: torch.full((n, 3, 8, 8), torch.nan), ValueError, "Expected finite pixels"),
        (lambda model, n: [REAL[:n]], TypeError, "Expected 8 images.*got a list of Tensor"),
        (lambda model, n: None, TypeError, "Expected 8 images.*got None"),
    ],
)
def test_a_sampler_that_returns_something_else_is_told(returned: Any, error: type[Exception], message: str) -> None:
    watching = monitor(sample=returned)
    with pytest.raises(error, match=f"sample=.*lambda.*{message}"):
        validate(watching)
    assert watching.metric.num_samples("fake") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_key": "picture"}, "image_key='picture'.*a list of Tensor"),
        ({"image_key": 3}, "image_key=3.*a list of Tensor"),
        ({"image_key": lambda batch: None}, "image_key=.*lambda.*Expected a tensor"),
        ({"fake_key": "fake"}, "fake_key='fake'.*keys 'reconstruction', 'loss'"),
        ({"fake_key": lambda outputs: outputs["reconstruction"][:1]}, r"fake_key: Expected 4 images.*\(1, 3, 8, 8\)"),
    ],
)
def test_missing_images_name_what_is_there(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(monitor(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": "sample", "fake_key": "fake"}, "expected one of them"),
        ({"num_samples": 0}, "≥ 1"),
        ({"num_samples": None}, "num_samples: expected an integer, got None"),
        ({"every_n_train_steps": 2}, "inside training"),
        ({"real": "real.safetensors", "refresh_real": True}, "nothing to refresh"),
        ({"every_n_epochs": 0}, "≥ 1"),
        ({"extractor": "inception-v4"}, "inception-v3"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        monitor(**options)


def test_a_model_without_the_method_is_told_before_training() -> None:
    with pytest.raises(ValueError, match=r"Model has no such method.*def draw\(self, n\)"):
        fit(monitor(sample="draw"))


def test_two_monitors_need_two_prefixes() -> None:
    with pytest.raises(ValueError, match="prefix="):
        fit(monitor(), monitor())
    twins = monitor([FID()]), monitor([FID()], prefix="val/again/")
    assert twins[0].state_key != twins[1].state_key
    assert fit(*twins).callback_metrics.keys() == {"val/fd_pixels", "val/again/fd_pixels"}


def test_too_few_samples_are_an_error() -> None:
    with pytest.raises(NotEnoughSamples, match="fake samples, got 1"):
        validate(monitor([FID()], num_samples=1))


class FSDPStrategy: ...


class MyFSDP(FSDPStrategy): ...


def test_sharded_weights_are_warned_of() -> None:
    assert "fake_key=" in (sharding_warning(MyFSDP()) or "")
    assert sharding_warning(object()) is None
