"""MIND: against the definition in float32, as torch-fidelity has it, closed forms, unequal numbers and the edges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scores import normal, score
from torch import Tensor

from streaming_metrics import MIND, Features, GenerativeMetrics, NotEnoughSamples


def mind(real: Tensor, fake: Tensor, **options: Any) -> float:
    return score(MIND(**options), real, fake)["mind"]


def by_definition(real: Tensor, fake: Tensor, projections: int = 1000, seed: int = 2020) -> float:
    """One generator: first a random part of the larger side, then directions; all else in float32."""
    generator = torch.Generator().manual_seed(seed)
    n = min(len(real), len(fake))
    if len(fake) > n:
        fake = fake[torch.randperm(len(fake), generator=generator)[:n]]
    elif len(real) > n:
        real = real[torch.randperm(len(real), generator=generator)[:n]]
    u = torch.randn(projections, real.shape[1], generator=generator)
    u = u / u.norm(dim=1, keepdim=True)
    x, y = ((side.float() @ u.T).sort(0).values for side in (real, fake))
    return 3 * real.shape[1] * ((x - y) ** 2).mean().item()


REAL, FAKE = normal(0, 120, 16), normal(1, 120, 16, 0.3, 1.3)


@pytest.mark.parametrize("sizes", [(120, 120), (120, 70), (50, 120)], ids=str)
@pytest.mark.parametrize("options", [{}, {"projections": 7, "seed": 5}], ids=str)
def test_it_is_what_the_definition_says(sizes: tuple[int, int], options: dict[str, int]) -> None:
    real, fake = REAL[: sizes[0]], FAKE[: sizes[1]]
    ours = {{"projections": "num_projections"}.get(name, name): value for name, value in options.items()}
    assert mind(real, fake, **ours) == pytest.approx(by_definition(real, fake, **options), rel=1e-6)


def test_a_shift_moves_every_line_by_its_part() -> None:
    shift = torch.linspace(-1, 2, 16)
    u = torch.randn(1000, 16, generator=torch.Generator().manual_seed(2020))
    u = (u / u.norm(dim=1, keepdim=True)).double()
    closed = 3 * 16 * (u @ shift.double()).square().mean().item()
    assert mind(REAL, REAL + shift) == pytest.approx(closed, rel=1e-5)
    assert closed == pytest.approx(3 * shift.square().sum().item(), rel=0.1)  # three times the Fréchet distance


def test_a_side_is_at_no_distance_from_itself_in_any_order() -> None:
    assert mind(REAL, REAL.flip(0)) == 0
    assert mind(REAL[:1], REAL[:1]) == 0


def test_one_feature_and_one_sample() -> None:
    assert mind(torch.tensor([[1.0]]), torch.tensor([[4.0]])) == pytest.approx(27)
    line, other = normal(2, 40, 1), normal(3, 40, 1)
    expected = 3 * (line.sort(0).values - other.sort(0).values).square().mean().item()
    assert mind(line, other) == pytest.approx(expected, rel=1e-6)


def test_the_part_of_the_larger_side_follows_from_ids_and_not_from_arrival() -> None:
    found = []
    for order in (torch.arange(120), torch.arange(120).flip(0)):
        metric = GenerativeMetrics([MIND(num_projections=9)], None, num_features=16)
        metric.update(REAL[:50], real=True)
        for places in order.split(33):
            metric.update(Features(FAKE[places], index=places), real=False)
        found.append(metric.compute()["mind_features"].item())
    assert found[0] == found[1]
    assert found[0] != pytest.approx(mind(REAL[:50], FAKE[:50], num_projections=9), rel=1e-3)


def test_no_sample_on_a_side_is_too_few() -> None:
    with pytest.raises(NotEnoughSamples, match="MIND needs at least 1 fake samples, got 0"):
        mind(REAL, FAKE[:0])
