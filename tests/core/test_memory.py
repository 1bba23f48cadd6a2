"""Rows of samples are let go of when they are forgotten: not when garbage is next collected, and by no cache."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import torch
from binding_cases import MEASURES, named

from streaming_metrics import KID, PRDC, Features, GenerativeMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming_metrics import Measure

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

WIDTH, N = 37, 60
"""No other tensor of the process has rows of this width."""


@pytest.fixture(scope="module", autouse=True)
def looked_through() -> Iterator[None]:
    """What there was before is not looked through again by each test, which takes half a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> int:
    """Return how many tensors of samples there are."""
    tensors = [one for one in gc.get_objects() if type(one) is torch.Tensor]
    return sum(tensor.ndim == 2 and tensor.shape[1] == WIDTH and len(tensor) >= N // 2 for tensor in tensors)


def filled(measures: list[Measure]) -> GenerativeMetrics:
    metric = GenerativeMetrics(measures, extractor=None, num_features=WIDTH, widths={"text": WIDTH})
    for role in metric.roles:
        metric.update(drawn(), role=role)
    return metric


def drawn() -> Features:
    pool, text, ids = torch.randn(N, WIDTH), torch.randn(N, WIDTH), torch.arange(N)
    return Features(pool, text=text, labels=ids % 2, captions=ids)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("measures", [*MEASURES, [KID(subsets=None), PRDC(k=2)]], ids=named)
def test_what_is_reset_is_let_go_of_at_once(measures: Any) -> None:
    metric = filled(measures)
    metric.compute()
    metric.reset()
    assert held() == 0


@pytest.mark.parametrize("measures", MEASURES, ids=named)
@pytest.mark.slow
def test_a_frozen_side_goes_with_its_metric(measures: Any) -> None:
    metric = filled(measures)
    for role in metric.roles:
        if role != "fake":
            metric.freeze(role)
    metric.update(drawn(), real=False)
    metric.compute()
    del metric
    gc.collect()
    assert held() == 0


@pytest.mark.usefixtures("uncollected")
def test_a_torn_frozen_side_is_let_go_of_by_reset() -> None:
    metric = filled([KID(subsets=None)])
    metric.freeze_real()
    metric.compute()
    setattr(metric, metric._layout.torn["real"], torch.tensor(1))
    metric.reset()
    assert held() == 0
