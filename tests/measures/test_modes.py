"""Modes by construction: counts, SciPy's tests and divergences, distances, collapse, on ranks and in every form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, compute_unbound, lives
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest, norm
from scores import normal

from streaming_metrics import BiasWarning, Features, GenerativeMetrics, NotEnoughSamples, Spec
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.bins import cluster_centres
from streaming_metrics.measures.mode_table import ModeTable
from streaming_metrics.measures.modes import Modes
from streaming_metrics.statistics import FixedRows, ModeSums

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
COUNTS = st.lists(st.integers(0, 60), min_size=3, max_size=8)
few_samples = pytest.mark.filterwarnings("ignore:Modes. .*missed by chance:streaming_metrics.BiasWarning")
unused = pytest.mark.filterwarnings("ignore:Modes. .*hold no real sample:streaming_metrics.BiasWarning")


def clusters(seed: int, sizes: list[int], spread: float = 0.1, width: int = 4) -> Tensor:
    """Rows of clusters far apart, each on an axis of its own."""
    centres = 10 * torch.eye(width)[: len(sizes)].repeat_interleave(torch.tensor(sizes), 0)
    return centres + normal(seed, sum(sizes), width, std=spread)


def indexed(rows: Tensor, **columns: Any) -> Features:
    return Features(rows, index=torch.arange(len(rows)), **columns)


def ours(measure: Modes, real: Features, fake: Features) -> dict[str, float]:
    """The values, which must be the same in both forms."""
    samples = {"real": real, "fake": fake}
    bound, unbound = compute(measure, samples), compute_unbound(measure, samples) if not measure.classes else None
    assert unbound is None or unbound == pytest.approx(bound, rel=1e-12)
    return bound


def by_formula(real: np.ndarray, fake: np.ndarray, alpha: float) -> dict[str, float]:
    """Counts of modes, the pooled test of two proportions, and SciPy's divergence."""
    n, m = real.sum(), fake.sum()
    p, q = real / n, fake / m
    pooled = (real + fake) / (n + m)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (q - p) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    held = real > 0
    return {
        "modes_missing": float((fake[held] == 0).mean()),
        "modes_fewer": float((2 * norm.sf(-z[held]) < alpha)[z[held] < 0].sum() / held.sum()),
        "modes_js": float(jensenshannon(p, q)) ** 2,
    }


# --- value ------------------------------------------------------------------------------------------------------------


@few_samples
@given(seed=SEEDS, alpha=st.sampled_from([0.05, 0.4]))
def test_values_are_the_formulas_of_counts_in_k_means_cells(seed: int, alpha: float) -> None:
    real, fake = normal(seed, 90, 3), normal(seed + 1, 70, 3, 0.4, 0.7)
    centres = torch.from_numpy(cluster_centres(real.double().numpy(), 6, seed=0)).float().double()
    (near, mode), (near_fake, fake_mode) = (torch.cdist(rows.double(), centres).min(1) for rows in (real, fake))
    counts = [torch.bincount(m, minlength=6) for m in (mode, fake_mode)]
    means = torch.bincount(mode, near, minlength=6) / counts[0]
    expected = by_formula(*(c.numpy() for c in counts), alpha)
    expected["modes_distance"] = float(near_fake.mean() / means[fake_mode].mean())
    assert ours(Modes(6, alpha=alpha), indexed(real), indexed(fake)) == pytest.approx(expected, rel=1e-6)


@few_samples
@unused
@given(seed=SEEDS, real=COUNTS, fake=COUNTS)
def test_values_are_the_formulas_of_counts_of_labels(seed: int, real: list[int], fake: list[int]) -> None:
    size = max(len(real), len(fake))
    counts = [np.array(one + [0] * (size - len(one))) for one in (real, fake)]
    if not all(one.sum() for one in counts):
        return
    rows = [normal(seed + i, int(one.sum()), 4, 0.2 * i) for i, one in enumerate(counts)]
    labels = [torch.arange(size).repeat_interleave(torch.from_numpy(one)) for one in counts]
    sides = [indexed(r, labels=label) for r, label in zip(rows, labels)]
    found = ours(Modes(classes=size), *sides)
    assert {key: found[key] for key in list(found)[:3]} == pytest.approx(by_formula(*counts, 0.05), abs=1e-12)
    means = {c: rows[0][labels[0] == c].double().mean(0) for c in labels[0].tolist()}
    far = [[(r.double() - means[c]).norm() for r, c in zip(*side) if c in means] for side in _by_label(rows, labels)]
    own = {c: float(np.mean([d for d, of in zip(far[0], labels[0].tolist()) if of == c])) for c in means}
    same = [own[c] for c in labels[1].tolist() if c in own]
    if sum(same):
        assert found["modes_distance"] == pytest.approx(sum(map(float, far[1])) / sum(same), rel=1e-5)


def _by_label(rows: list[Tensor], labels: list[Tensor]) -> list[tuple[Tensor, list[int]]]:
    return [(r, label.tolist()) for r, label in zip(rows, labels)]


@pytest.mark.parametrize(
    ("fake", "missing", "fewer"),
    [([50, 50, 50, 50], 0, 0), ([100, 100, 0, 0], 0.5, 0.5), ([100, 98, 2, 0], 0.25, 0.5), ([50, 50, 52, 48], 0, 0)],
)
def test_left_out_modes_are_counted(fake: list[int], missing: float, fewer: float) -> None:
    values = ours(Modes(4), indexed(clusters(0, [50] * 4)), indexed(clusters(1, fake)))
    assert (values["modes_missing"], values["modes_fewer"]) == (missing, fewer)


@pytest.mark.parametrize(("spread", "ratio"), [(0.1, 1.0), (0.05, 0.5), (0.2, 2.0), (0.0, 0.0)])
@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.slow
def test_the_distance_tells_collapsed_modes_from_wide_ones(spread: float, ratio: float) -> None:
    real, fake = clusters(0, [2000] * 4), clusters(1, [2000] * 4, spread)
    assert ours(Modes(4), indexed(real), indexed(fake))["modes_distance"] == pytest.approx(ratio, abs=0.03)


@few_samples
@pytest.mark.parametrize("n", [4, 8])
def test_fresh_samples_are_further_from_centres_that_were_fitted_to_others(n: int) -> None:
    labels = torch.arange(40).repeat(n)
    real, fake = (indexed(normal(seed, 40 * n, 64), labels=labels) for seed in (0, 1))
    assert ours(Modes(classes=40), real, fake)["modes_distance"] == pytest.approx(1 + 1 / n, abs=0.05)


def test_identical_sides_leave_nothing_out() -> None:
    rows = indexed(clusters(0, [30, 30, 60]))
    values = ours(Modes(3), rows, rows)
    assert values == pytest.approx(dict.fromkeys(list(values)[:3], 0) | {"modes_distance": 1.0}, rel=1e-9, abs=1e-12)


def test_a_collapsed_generator_fills_one_mode() -> None:
    real = clusters(0, [40] * 4)
    values = ours(Modes(4), indexed(real), indexed(real[:1].expand(60, -1)))
    assert (values["modes_missing"], values["modes_fewer"]) == (0.75, 0.75)


@unused
def test_constant_real_features_have_one_mode() -> None:
    real = torch.ones(40, 3)
    assert ours(Modes(3), indexed(real), indexed(real))["modes_distance"] == 1
    values = ours(Modes(3), indexed(real), indexed(real + 1))
    assert (values["modes_missing"], values["modes_distance"]) == (0, float("inf"))


@unused
def test_samples_that_have_no_label_of_real_ones_lie_in_no_mode() -> None:
    rows = normal(0, 80, 3)
    real, fake = (Features(rows, index=torch.arange(80), labels=first + torch.arange(80) % 2) for first in (0, 2))
    values = ours(Modes(classes=4), real, fake)
    assert (values["modes_missing"], values["modes_fewer"], values["modes_distance"]) == (1, 1, float("inf"))


def test_equal_distributions_miss_few_modes_by_chance() -> None:
    """Of fixed modes, a share of alpha / 2."""
    found = []
    for seed in range(60):
        random = np.random.RandomState(seed)
        real, fake = (torch.bincount(torch.from_numpy(random.randint(20, size=2000))) for _ in range(2))
        found.append(ModeTable.of(real, fake, *torch.ones(2, 20).double()).is_fewer.double().mean())
    assert abs(np.mean(found) - 0.025) < 5 * np.std(found) / len(found) ** 0.5


# --- the table --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 80), min_size=2, max_size=6).filter(sum), st.sampled_from([0.05, 0.2]))
def test_intervals_are_scipys(counts: list[int], alpha: float) -> None:
    fake = torch.tensor(counts)
    low, high = ModeTable.of(fake, fake, fake.double(), fake.double(), alpha).interval
    for mode, count in enumerate(counts):
        theirs = binomtest(count, sum(counts)).proportion_ci(1 - alpha, method="wilson")
        assert (float(low[mode]), float(high[mode])) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_mode_that_lacks_most_comes_first() -> None:
    real, fake = torch.tensor([30, 0, 30, 30, 10]), torch.tensor([30, 30, 0, 60, 9])
    assert ModeTable.of(real, fake, *torch.ones(2, 5).double()).by_shortfall.tolist() == [2, 0, 4, 3]


# --- forms and ranks --------------------------------------------------------------------------------------------------


def on_a_rank(group: Any, measure: Modes, samples: dict[str, Features]) -> dict[str, float]:
    return compute(measure, samples, Comm(group))


@few_samples
@pytest.mark.parametrize("measure", [Modes(5), Modes(5, most=25), Modes(classes=5)], ids=lambda m: m.describe())
def test_ranks_and_orders_do_not_matter(ranks: Ranks, measure: Modes) -> None:
    real = indexed(normal(0, 60, 5), labels=torch.arange(60) % 5)
    fake = indexed(normal(1, 41, 5, 0.4), labels=torch.arange(41) % 4)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    each = [{"real": real[order[rank::3]], "fake": fake[torch.arange(41) % 3 == rank]} for rank in range(3)]
    expected = ours(measure, real, fake)
    for found in ranks.run(3, on_a_rank, measure, each=each):
        assert found == pytest.approx(expected, rel=1e-9)


def test_a_frozen_real_side_leaves_sums_alone_of_generated_samples() -> None:
    measure, samples = Modes(5), {"real": indexed(normal(0, 90, 4)), "fake": indexed(normal(1, 70, 4, 0.3))}
    found = lives(measure, samples, "real")
    for lived in found.values():
        assert lived.values == pytest.approx(compute(measure, samples), rel=1e-12)
    assert {how: lived.rows_kept for how, lived in found.items()} == dict.fromkeys(found, 0) | {"nothing frozen": 70}


def test_forms_that_differ_have_other_states() -> None:
    spec = Spec(num_features=3)
    forms = [Modes(**options) for options in ({}, {"alpha": 0.1}, {"modes": 9}, {"classes": 20}, {"seed": 1})]
    names = [form.bind(spec, None, {}).statistics(spec)["fake"][0].name for form in forms]
    assert names[0] == names[1]
    assert len(set(names)) == 4


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"counts": [3, -1], "distances": [1.0, 0.0]}, "not negative"),
        ({"counts": [3, 1], "distances": [1.0, -0.1]}, "not negative"),
        ({"counts": [3, 0], "distances": [1.0, 0.1]}, "a mode without a sample"),
    ],
)
def test_states_that_cannot_be_are_refused(state: dict[str, list[float]], told: str) -> None:
    sums = ModeSums(3, modes=2, centres=FixedRows(torch.zeros(2, 3)))
    tensors = {key: torch.tensor(value, dtype=sums.shapes[key][1]) for key, value in state.items()}
    with pytest.raises(ValueError, match=told):
        sums.check(tensors)


@pytest.mark.parametrize(
    "change", [{"counts": [4, 5]}, {"counts": [11, -1]}, {"distances": [1.0, -1.0]}, {"counts": [10]}]
)
def test_what_cannot_have_been_prepared_is_refused(change: dict[str, list[float]]) -> None:
    prepared = {"centres": torch.zeros(2, 3), "counts": torch.tensor([6, 4]), "distances": torch.ones(2).double()}
    Modes(2).check_prepared(prepared, 10)
    changed = {key: torch.tensor(value, dtype=prepared[key].dtype) for key, value in change.items()}
    with pytest.raises(ValueError, match="expected centres of 2 modes, and counts and distances of 10 samples"):
        Modes(2).check_prepared(prepared | changed, 10)


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "m", "told"), [(4, 9, "5 real samples, got 4. Remedy: .*fewer `modes`"), (9, 0, "1 fake samples, got 0")]
)
def test_too_few_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"Modes.* needs at least {told}"):
        ours(Modes(5), indexed(normal(0, n, 2)), indexed(normal(1, m, 2)))


@pytest.mark.parametrize(("n", "m", "told"), [(19, 20, "19 real samples in 2"), (20, 19, "19 fake samples in 2")])
def test_few_samples_a_mode_are_told(n: int, m: int, told: str) -> None:
    with pytest.warns(BiasWarning, match=f"{told} modes: some are missed by chance"):
        compute(Modes(2), {"real": indexed(normal(0, n, 2)), "fake": indexed(normal(1, m, 2))})


def test_labels_without_real_samples_are_told_and_left_out() -> None:
    real, fake = (indexed(normal(seed, 60, 2), labels=torch.arange(60) % 2) for seed in (0, 1))
    with pytest.warns(BiasWarning, match="1 of 3 modes hold no real sample: labels are not used"):
        assert compute(Modes(classes=3), {"real": real, "fake": fake})["modes_missing"] == 0


def test_labels_that_are_none_are_refused() -> None:
    metric = GenerativeMetrics([Modes(classes=2)], extractor=None, num_features=2)
    with pytest.raises(ValueError, match=r"expected labels, .*Remedy"):
        metric.update(normal(0, 4, 2), real=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"modes": 1}, "Modes modes: expected at least 2, got 1"),
        ({"classes": 1}, "Modes classes: expected at least 2, got 1"),
        ({"alpha": 0}, "Modes alpha: expected a number greater than 0"),
        ({"alpha": 1}, "Modes alpha: expected a level below 1, got 1"),
        ({"most": 19}, "Modes most: expected at least 20, got 19"),
        ({"seed": -1}, "Modes seed: expected 0 to"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Modes(**options)
