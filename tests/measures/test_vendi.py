"""Vendi score: closed forms, the peer, and the spectrum's small end."""

from __future__ import annotations

from functools import reduce
from math import inf, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scores import normal
from vendi_score import vendi as peer

from streaming_metrics import BiasWarning, Features, GenerativeMetrics, NotEnoughSamples, Spec, Vendi
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.base import Side, Sides
from streaming_metrics.measures.vendi import renyi_entropy

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

ORDERS = [0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 10.0, 100.0, inf]
every_order = pytest.mark.parametrize("q", ORDERS)


def sides_of(rows: Tensor, comm: Comm | None = None, batch_size: int = 37) -> Sides:
    """Return the fake side of rows over all ranks, streamed in small batches."""
    comm, spec = comm or Comm.single(), Spec(rows.shape[1])
    (moment,) = Vendi().statistics(spec)["fake"]
    state = reduce(moment.update, [Features(part) for part in rows.split(batch_size)], moment.empty())
    n = sum(comm.counts(len(rows)))
    return Sides({"fake": Side("fake", n, {moment: moment.all_reduce(state, comm)}, comm)}, spec)


def scored(rows: Tensor, q: float = 1.0, comm: Comm | None = None) -> float:
    sides = sides_of(rows, comm)
    Vendi(q).check(sides)
    (value,) = Vendi(q).compute(sides, {}, {}).values()
    assert value.dtype == torch.float64
    assert value.shape == ()
    return value.item()


# --- closed forms -----------------------------------------------------------------------------------------------------


@every_order
@pytest.mark.parametrize("n", [1, 2, 7])
def test_orthogonal_rows_count_each(n: int, q: float) -> None:
    rows = torch.diag(torch.arange(1.0, n + 1))
    assert scored(torch.cat([rows, torch.zeros(n, 2)], 1), q) == pytest.approx(n, rel=1e-12)


@every_order
@pytest.mark.parametrize("n", [1, 2, 1000])
def test_rows_of_one_direction_count_as_one(n: int, q: float) -> None:
    lengths = torch.linspace(0.5, 3.0, n).unsqueeze(1)
    assert scored(lengths * normal(0, 1, 5), q) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("q", [q for q in ORDERS if q not in (0, inf)])
def test_two_modes_have_the_entropy_of_their_shares(q: float) -> None:
    rows = torch.eye(2).repeat_interleave(torch.tensor([9, 1]), 0)
    expected = np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1)) if q == 1 else (0.9**q + 0.1**q) ** (1 / (1 - q))
    assert scored(rows, q) == pytest.approx(expected, rel=1e-12)


def test_order_0_is_the_rank_and_order_infinity_the_largest_mode() -> None:
    rows = torch.eye(3).repeat_interleave(torch.tensor([6, 3, 1]), 0)
    assert scored(rows, 0) == pytest.approx(3)
    assert scored(rows, inf) == pytest.approx(1 / 0.6)
    assert scored(normal(0, 20, 4) @ normal(1, 4, 12), 0) == pytest.approx(4)


def test_order_2_is_rke() -> None:
    rows = normal(0, 50, 6, mean=0.5)
    unit = rows.double() / rows.double().norm(dim=1, keepdim=True)
    assert scored(rows, 2) == pytest.approx(1 / (unit.T @ unit / 50).square().sum().item(), rel=1e-12)
    assert scored(rows, 2) == pytest.approx(1 / (unit @ unit.T).square().mean().item(), rel=1e-12)


def test_a_larger_order_is_a_smaller_score_within_the_range() -> None:
    for rows in (normal(0, 30, 8), normal(0, 5, 8), normal(0, 30, 8, mean=3)):
        scores = [scored(rows, q) for q in ORDERS]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] >= 1
        assert scores[0] <= min(rows.shape) + 1e-9


# --- the peer ---------------------------------------------------------------------------------------------------------


PEER_CASES = [
    (n, width, q)
    for n, width in [(100, 5), (60, 40), (20, 64), (1, 3)]
    for q in [0.5, 1.0, 1.5, 2.0, 10.0, inf]
    if q >= 1 or n > width  # below order 1 the peer counts rounding as modes
]


@pytest.mark.parametrize(("n", "width", "q"), PEER_CASES)
def test_it_is_the_peers(n: int, width: int, q: Any) -> None:
    rows = normal(0, n, width, mean=0.3)
    expected = peer.score_dual(rows.double().numpy(), "inf" if q == inf else q)  # pyright: ignore[reportArgumentType]
    assert scored(rows, q) == pytest.approx(expected, rel=1e-9)


def test_it_is_the_entropy_of_the_similarities() -> None:
    rows = normal(0, 20, 64)
    unit = rows.double() / rows.double().norm(dim=1, keepdim=True)
    similarities = np.linalg.eigvalsh((unit @ unit.T).numpy() / 20)
    assert scored(rows) == pytest.approx(np.exp(peer.entropy_q(similarities)), rel=1e-9)


# --- the small end ----------------------------------------------------------------------------------------------------


@every_order
def test_tiny_eigenvalues_make_no_nan(q: float) -> None:
    spread = torch.logspace(0, -12, 16)
    for rows in (normal(0, 40, 16) * spread, normal(0, 3, 16) * spread, normal(0, 40, 16) * 1e-18):
        assert 1 - 1e-9 <= scored(rows, q) <= 16 + 1e-9


def test_rounding_makes_no_mode_below_order_1() -> None:
    few = normal(0, 3, 200)
    assert scored(few.repeat(50, 1), 0) == pytest.approx(3)
    assert scored(few.repeat(50, 1), 0.1) == pytest.approx(scored(few, 0.1), rel=1e-9)
    assert peer.score_dual(few.double().numpy(), 0.1) > 4, "the peer counts rounding"  # pyright: ignore[reportArgumentType]


@every_order
def test_zeros_have_no_entropy(q: float) -> None:
    p = torch.tensor([0.25, 0.0, 0.75, 0.0], dtype=torch.float64)
    assert renyi_entropy(p, q) == renyi_entropy(p[p > 0], q)
    assert renyi_entropy(torch.tensor([0.0, 1.0]), q) == 0


@pytest.mark.parametrize("apart", [1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 2.0**-6])
@pytest.mark.parametrize("sign", [-1, 1])
def test_orders_about_1_are_about_the_entropy(sign: int, apart: float) -> None:
    p = torch.rand(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p /= p.sum()
    entropy = -(p * p.log()).sum()
    variance = (p * p.log().square()).sum() - entropy**2
    expected = entropy - sign * apart * variance / 2
    assert renyi_entropy(p, 1 + sign * apart).item() == pytest.approx(expected.item(), abs=2 * apart**2 + 1e-14)


def test_the_largest_orders_are_of_the_largest_mode() -> None:
    p = torch.tensor([0.1, *[0.05] * 18], dtype=torch.float64)
    assert renyi_entropy(p, 1.7e308).item() == pytest.approx(np.log(10))


# --- ranks, refusals --------------------------------------------------------------------------------------------------


def on_ranks(group: Any, q: float, rows: Tensor) -> float:
    return scored(rows, q, Comm(group))


@pytest.mark.parametrize("edges", [[40], [33, 7], [0, 40], [1, 29, 10]], ids=str)
def test_one_number_whatever_the_ranks(ranks: Ranks, edges: list[int]) -> None:
    rows = normal(0, 40, 6)
    for answer in ranks.run(len(edges), on_ranks, 1.0, each=list(rows.split(edges))):
        assert answer == pytest.approx(scored(rows), rel=1e-12)


def test_rows_of_zeros_are_left_out_with_a_warning() -> None:
    rows = normal(0, 10, 4)
    with pytest.warns(BiasWarning, match="2 of 12 fake samples have features of zeros"):
        assert scored(torch.cat([rows, torch.zeros(2, 4)]), 2) == pytest.approx(scored(rows, 2), rel=1e-12)
    with pytest.raises(NotEnoughSamples, match="features are not all 0, got 3 of zeros"):
        scored(torch.zeros(3, 4))


def test_samples_of_which_no_rows_were_kept_leave_no_error() -> None:
    metrics = [GenerativeMetrics([m], extractor=None, num_features=4) for m in (Vendi(), Vendi(se=True))]
    for metric, scale in zip(metrics, (1.0, 9.0)):
        metric.persistent(True)
        metric.update(Features(scale * normal(0, 300, 4)), real=False)
    metrics[1].load_state_dict(metrics[0].state_dict())
    metrics[1].update(Features(normal(1, 200, 4)), real=False)
    with pytest.warns(BiasWarning, match="features drawn from all generated samples"):
        values = metrics[1].compute()
    assert values["vendi_se_features"].isnan()
    assert values["vendi_features"] > 3


def test_no_samples_are_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="Vendi needs at least 1 fake samples, got 0"):
        scored(torch.zeros(0, 4))


@pytest.mark.parametrize(
    ("q", "error"), [("2", TypeError), (True, TypeError), (None, TypeError), (-1, ValueError), (nan, ValueError)]
)
def test_what_is_no_order_is_refused(q: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Vendi q: expected"):
        Vendi(q)


def test_orders_share_a_statistic_and_a_spectrum() -> None:
    assert (Vendi(2), Vendi(2).describe()) == (Vendi(2.0), "vendi(q=2.0)")
    assert Vendi(1).describe() == "vendi"
    assert Vendi(2).statistics(Spec(6)) == Vendi(inf).statistics(Spec(6))
    sides = sides_of(normal(0, 9, 6))
    for q in ORDERS:
        Vendi(q).compute(sides, {}, {})
    assert len(sides.fake.kept) == 1


def test_it_needs_features() -> None:
    with pytest.raises(ValueError, match="Vendi needs features"):
        Vendi().statistics(Spec(num_classes=5))
