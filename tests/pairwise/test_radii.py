"""Radii against brute force and scikit-learn: of tiny and of tied features, in blocks of every size."""

from __future__ import annotations

import pytest
import torch
from brute_force import check, dense, rows_of, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal
from sklearn.neighbors import NearestNeighbors

from streaming_metrics.pairwise import Radii, Tiling, radii
from streaming_metrics.pairwise.within import smallest_of

SEEDS = st.integers(0, 2**31 - 1)
KINDS = st.sampled_from(["plain", "grid", "far", "doubled"])


@given(SEEDS, st.integers(1, 20), st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_radii_are_sklearns(seed: int, k: int, width: int) -> None:
    rows = normal(seed, 60, width)
    x = rows.double().numpy()
    nearest, _ = NearestNeighbors(n_neighbors=k + 1, algorithm="kd_tree").fit(x).kneighbors(x)
    expected = torch.from_numpy(nearest[:, k]).square()
    torch.testing.assert_close(whole(Radii("real", k), {"real": rows}), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("scale", [1e-22, 1e-19, 1e-17, 1.0])
def test_radii_of_few_and_tiny_features_are_exact(scale: float, bf16: bool) -> None:
    for seed in range(40):
        sides = {"real": normal(seed, 5 + seed % 9, 8) * scale}
        found, expected = whole(Radii("real", 3), sides, Tiling(bf16=bf16)), dense(Radii("real", 3), sides)
        assert torch.allclose(found, expected, rtol=1e-12, atol=0)


def test_fewer_neighbours_than_k_reach_everywhere() -> None:
    assert whole(Radii("real", 5), {"real": rows_of("plain", 0, 5)}).isinf().all()


@given(seed=SEEDS, kind=KINDS, width=st.sampled_from([8, 120, 128, 256]), count=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_the_smallest_of_groups_are_the_smallest(seed: int, kind: str, width: int, count: int) -> None:
    low = rows_of(kind, seed, 30) @ rows_of(kind, seed + 1, width).T
    for values in (low, low.T.contiguous().T):
        smallest, columns = smallest_of(values, count)
        assert torch.equal(values.gather(1, columns), smallest)
        expected = values.sort(1).values[:, :count]
        assert torch.equal(smallest.sort(1).values[:, :count], expected)


def one_hot(n: int, width: int) -> torch.Tensor:
    return torch.eye(width)[torch.randint(width, (n,), generator=torch.Generator().manual_seed(0))]


def on_a_grid(n: int, width: int) -> torch.Tensor:
    return torch.randint(2, (n, width), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("size", [16, 1024])
@pytest.mark.parametrize(
    ("rows", "looks"), [(one_hot(80, 100), True), (on_a_grid(150, 5), True), (normal(0, 80, 8), False)]
)
def test_ties_that_crowd_out_candidates_are_looked_at_again(
    rows: torch.Tensor, looks: bool, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched, search = [], radii._search
    monkeypatch.setattr(radii, "_search", lambda *given: searched.append(given) or search(*given))
    for bf16 in (False, True):
        check(Radii("real", 4), whole(Radii("real", 4), {"real": rows}, Tiling(size, bf16=bf16)), {"real": rows})
    assert bool(searched) == looks
