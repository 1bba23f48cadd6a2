"""NDB given its bins by the authors' formulas, bins by scikit-learn's k-means, levels by simulation, on ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, compute_unbound, lives
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import norm
from scores import normal
from sklearn.cluster import KMeans

from streaming_metrics import BiasWarning, Features, GenerativeMetrics, NotEnoughSamples, Spec
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures import bins as module
from streaming_metrics.measures.bins import NDB, cluster_centres, jensen_shannon, two_proportions
from streaming_metrics.statistics import BinCounts, FixedRows
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
few_samples = pytest.mark.filterwarnings("ignore:NDB. .*few differences:streaming_metrics.BiasWarning")


def indexed(rows: Tensor) -> Features:
    return Features(rows, index=torch.arange(len(rows)))


def ours(measure: NDB, real: Tensor, fake: Tensor) -> dict[str, float]:
    """NDB, which must be the same in both forms."""
    samples = {"real": indexed(real), "fake": indexed(fake)}
    bound, unbound = compute(measure, samples), compute_unbound(measure, samples)
    assert bound == unbound
    return bound


def shares(rows: Tensor, centres: np.ndarray) -> np.ndarray:
    """Counts of rows by their nearest centre, the first of equally near ones."""
    distances = ((rows.double().numpy()[:, None] - centres[None]) ** 2).sum(2)
    return np.bincount(distances.argmin(1), minlength=len(centres))


def authors(real: np.ndarray, fake: np.ndarray, level: float) -> dict[str, float]:
    """As "On GANs and GMMs" says it: a z-test of two proportions a bin, pooled, two-sided."""
    n, m = real.sum(), fake.sum()
    p, q = real / n, fake / m
    pooled = (p * n + q * m) / (n + m)
    with np.errstate(invalid="ignore"):
        z = (p - q) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return {"ndb": float((2 * norm.cdf(-np.abs(z)) < level).mean()), "ndb_js": float(jensenshannon(p, q)) ** 2}


def clusters(seed: int, sizes: list[int], width: int = 4, spread: float = 0.1) -> Tensor:
    """Rows of well separated clusters, on axes of their own."""
    centres = 10 * torch.eye(width)[: len(sizes)].repeat_interleave(torch.tensor(sizes), 0)
    return centres + normal(seed, sum(sizes), width, std=spread)


# --- value ------------------------------------------------------------------------------------------------------------


@few_samples
@pytest.mark.parametrize("alpha", [0.05, 0.3])
@pytest.mark.parametrize(("n", "m", "width", "bins"), [(60, 90, 3, 5), (200, 70, 16, 12), (40, 40, 1, 40)])
@given(seed=SEEDS)
def test_value_is_the_authors_given_the_bins(n: int, m: int, width: int, bins: int, alpha: float, seed: int) -> None:
    real, fake = normal(seed, n, width), normal(seed + 1, m, width, 0.3, 0.7)
    centres = cluster_centres(real.double().numpy(), bins, seed=0).astype(np.float32).astype(np.float64)
    expected = authors(shares(real, centres), shares(fake, centres), alpha)
    assert ours(NDB(bins, alpha), real, fake) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_lost_modes_are_the_different_bins() -> None:
    real, fake = clusters(0, [50, 50, 50, 50]), clusters(1, [100, 100, 0, 0])
    values = ours(NDB(bins=4), real, fake)
    assert values == pytest.approx({"ndb": 1.0, "ndb_js": 0.75 * np.log(4 / 3)})


@pytest.mark.parametrize(("fake", "different"), [([50, 50, 50, 50], 0), ([80, 20, 50, 50], 0.5), ([50, 50, 52, 48], 0)])
def test_bins_are_told_apart_where_their_shares_are(fake: list[int], different: float) -> None:
    assert ours(NDB(bins=4), clusters(0, [50, 50, 50, 50]), clusters(1, fake))["ndb"] == different


def test_sets_apart_and_identical_sets() -> None:
    real = clusters(0, [60, 60])
    assert ours(NDB(bins=2), real, real) == {"ndb": 0.0, "ndb_js": 0.0}
    far = torch.tensor([[0.0], [1.0]]).repeat(30, 1), torch.tensor([[0.0], [0.2]]).repeat(30, 1)
    assert ours(NDB(bins=2), *far) == pytest.approx({"ndb": 1.0, "ndb_js": jensenshannon([0.5, 0.5], [1, 0]) ** 2})


def test_disjoint_shares_diverge_by_the_logarithm_of_two() -> None:
    p, q = torch.tensor([0.4, 0.6, 0, 0]).double(), torch.tensor([0, 0, 0.9, 0.1]).double()
    assert float(jensen_shannon(p, q)) == pytest.approx(np.log(2))


def test_a_bin_that_is_empty_or_holds_all_is_not_different() -> None:
    counts = torch.tensor([0.0, 30.0, 0.0]).double()
    assert two_proportions(counts, counts).tolist() == [0, 0, 0]


def test_equal_distributions_differ_in_alpha_of_the_bins() -> None:
    """Of fixed bins: those of k-means fit the real samples a little better than others."""
    values = []
    for seed in range(60):
        real, fake = (torch.bincount(torch.from_numpy(_uniform(2 * seed + i, 2000))) for i in (0, 1))
        z = two_proportions(real.double(), fake.double())
        values.append(float((z > 1.959964).double().mean()))
    assert abs(np.mean(values) - 0.05) < 5 * np.std(values) / len(values) ** 0.5


def _uniform(seed: int, n: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(20, size=n)


# --- bins -------------------------------------------------------------------------------------------------------------


def inertia(rows: np.ndarray, centres: np.ndarray) -> float:
    return float(((rows[:, None] - centres[None]) ** 2).sum(2).min(1).sum())


@pytest.mark.parametrize(("n", "width", "bins", "mean"), [(400, 2, 8, 0.0), (600, 20, 10, 0.0), (300, 5, 30, 1e5)])
def test_centres_are_as_good_as_scikit_learns(n: int, width: int, bins: int, mean: float) -> None:
    rows = normal(0, n, width, mean).double().numpy()
    theirs = KMeans(bins, n_init="auto", max_iter=30, random_state=0).fit(rows).cluster_centers_
    assert inertia(rows, cluster_centres(rows, bins, seed=0)) < 1.05 * inertia(rows, theirs)


@given(SEEDS)
def test_separate_clusters_are_found_whatever_the_seed(seed: int) -> None:
    rows = clusters(0, [30, 10, 20, 40], spread=0.01).double().numpy()
    found = cluster_centres(rows, 4, seed % 2**32)
    assert sorted(found.argmax(1)) == [0, 1, 2, 3]
    assert inertia(rows, found) < 100 * 4 * 0.01**2 * 2


@few_samples
def test_bins_are_of_the_most_rows_that_ids_choose_and_counts_of_all() -> None:
    real, fake = normal(0, 90, 4), normal(1, 70, 4, 0.5)
    kept = real[hashed(torch.arange(90)).argsort()[:30].sort().values]
    centres = cluster_centres(kept.double().numpy(), 6, seed=3).astype(np.float32).astype(np.float64)
    expected = authors(shares(real, centres), shares(fake, centres), 0.05)
    assert ours(NDB(bins=6, most=30, seed=3), real, fake) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@few_samples
def test_real_features_that_repeat_leave_bins_empty_and_are_told() -> None:
    real, fake = torch.tensor([[0.0], [1.0]]).repeat(10, 1), torch.tensor([[0.0], [0.9]]).repeat(10, 1)
    with pytest.warns(BiasWarning, match="3 of 5 bins hold no real sample: features repeat"):
        assert ours(NDB(bins=5), real, fake) == {"ndb": 0.0, "ndb_js": 0.0}


# --- ranks, orders, states --------------------------------------------------------------------------------------------


def on_a_rank(group: Any, measure: NDB, samples: dict[str, Features]) -> tuple[dict[str, float], dict[str, float]]:
    comm = Comm(group)
    return compute(measure, samples, comm), compute_unbound(measure, samples, comm)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("most", [60, 20])
def test_ranks_and_orders_do_not_matter(ranks: Ranks, world_size: int, most: int) -> None:
    real, fake = indexed(normal(0, 60, 5)), indexed(normal(1, 41, 5, 0.4))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    shares = [
        {"real": real[order[rank::world_size]], "fake": fake[torch.arange(41) % world_size == rank]}
        for rank in range(world_size)
    ]
    measure = NDB(bins=7, most=most)
    expected = ours(measure, real.pool, fake.pool)  # pyright: ignore[reportArgumentType]
    assert ranks.run(world_size, on_a_rank, measure, each=shares) == [(expected, expected)] * world_size


@few_samples
def test_a_frozen_real_side_leaves_counts_alone_of_generated_samples() -> None:
    measure, samples = NDB(bins=5), {"real": indexed(normal(0, 90, 4)), "fake": indexed(normal(1, 70, 4, 0.3))}
    found = lives(measure, samples, "real")
    assert {how: lived.values for how, lived in found.items()} == dict.fromkeys(found, compute(measure, samples))
    assert {how: lived.rows_kept for how, lived in found.items()} == dict.fromkeys(found, 0) | {"nothing frozen": 70}


@few_samples
@pytest.mark.parametrize("bind_limit", [0, 1 << 30])
def test_centres_of_a_frozen_side_are_made_once(bind_limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(module, "cluster_centres", lambda *given: calls.append(0) or cluster_centres(*given))
    metric = GenerativeMetrics([NDB(bins=5)], extractor=None, num_features=4, bind_limit=bind_limit)
    metric.update(normal(0, 90, 4), real=True)
    metric.freeze_real()
    for seed in (1, 2):
        metric.update(normal(seed, 70, 4), real=False)
        metric.compute()
    assert len(calls) == 1


def test_a_bound_form_is_declared_before_there_are_data() -> None:
    bare, full = BinCounts(3, bins=4), BinCounts(3, bins=4, centres=FixedRows(torch.zeros(4, 3)))
    assert (bare, bare.name, hash(bare)) == (full, full.name, hash(full))
    assert torch.equal(bare.empty()["counts"], full.empty()["counts"])
    assert len({BinCounts(3, 4).name, BinCounts(3, 4, most=9).name, BinCounts(3, 4, seed=9).name}) == 3


def test_the_level_of_the_test_changes_no_state() -> None:
    forms = [NDB(alpha=alpha).bind(Spec(num_features=3), None, {}) for alpha in (0.05, 0.01)]
    assert forms[0].statistics(Spec(num_features=3)) == forms[1].statistics(Spec(num_features=3))


def test_states_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="counts that are not negative"):
        BinCounts(3, bins=2).check({"counts": torch.tensor([3, -1])})


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "m", "told"), [(4, 9, "5 real samples, got 4. Remedy: .*fewer `bins`"), (9, 0, "1 fake samples, got 0")]
)
def test_too_few_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"NDB.* needs at least {told}"):
        ours(NDB(bins=5), normal(0, n, 2), normal(1, m, 2))


@pytest.mark.parametrize(("n", "m", "told"), [(19, 20, "19 real samples in 2"), (20, 19, "19 fake samples in 2")])
def test_few_samples_a_bin_are_told(n: int, m: int, told: str) -> None:
    with pytest.warns(BiasWarning, match=f"{told} bins: few differences are significant"):
        ours(NDB(bins=2), normal(0, n, 2), normal(1, m, 2))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bins": 1}, "NDB bins: expected at least 2, got 1"),
        ({"alpha": 0}, "NDB alpha: expected a number greater than 0"),
        ({"alpha": 1}, "NDB alpha: expected a level below 1, got 1"),
        ({"most": 99}, "NDB most: expected at least 100, got 99"),
        ({"seed": -1}, "NDB seed: expected 0 to"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        NDB(**options)
