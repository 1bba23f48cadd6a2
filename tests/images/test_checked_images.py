"""Checked images: they pass unchecked where plain tensors are still checked, with the same values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from trainings import REAL, Pixels

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.extractors import ModuleExtractor
from streaming_metrics.images import conversion
from streaming_metrics.images.conversion import CheckedImages, to_uint8


def test_the_values_are_those_of_the_plain_images() -> None:
    values = []
    for wrapped in (lambda images: images, CheckedImages):
        metric = GenerativeMetrics([FID()], Pixels())
        metric.update(wrapped(REAL), real=True)
        metric.update(wrapped(REAL.flip(0) // 2), real=False)
        values.append(metric.compute())
    assert values[0] == values[1]


def test_they_are_not_checked_again_and_plain_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    check = conversion.check_shape
    monkeypatch.setattr(
        conversion, "check_shape", lambda images, takes: (checked.append(len(images)), check(images, takes))
    )
    metric = GenerativeMetrics([FID()], Pixels(), value_range=(0, 1))
    metric.update(CheckedImages(to_uint8(REAL[:5])), real=True)
    assert checked == [5]
    metric.update(REAL[:7], real=True)
    assert checked == [5, 7]


@pytest.mark.parametrize("images", [REAL.float(), REAL[:, :1], REAL[0], REAL[:0], [REAL]])
def test_an_extractor_and_a_metric_still_check_what_is_plain(images: Any) -> None:
    extractor = ModuleExtractor(Pixels(), num_features=6)
    metric = GenerativeMetrics([FID()], extractor)
    for use in (extractor, lambda given: metric.update(given, real=True)):
        with pytest.raises((TypeError, ValueError), match=r"Expected"):
            use(images)
    assert metric.num_samples("real") == 0


def test_columns_beside_them_are_rows_of_the_same_images() -> None:
    images = CheckedImages(REAL[:3], {"labels": torch.tensor([3, 1, 2])})
    kept: Tensor = torch.tensor([True, False, True])
    assert images[kept].columns["labels"].tolist() == [3, 2]
    assert torch.equal(images[kept].pixels, REAL[[0, 2]])
