"""Geometry score against witness complexes built from their definition, and shapes whose holes are known."""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from by_hand import compute, lives
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scores import normal
from torch import Tensor

from streaming_metrics import Features, GeometryScore, NotEnoughSamples
from streaming_metrics.measures.geometry import load_gudhi, loops, relative_living_times, witness_table
from streaming_metrics.measures.keys import parse_key

QUICK = GeometryScore(n=6, landmarks=24, gamma=0.2)


def ours(real: Tensor, fake: Tensor, measure: GeometryScore = QUICK) -> float:
    sides = {"real": real, "fake": fake}
    samples = {role: Features(rows, index=torch.arange(len(rows))) for role, rows in sides.items()}
    return compute(measure, samples, batch_size=500)["geometry_score"]


def circle(seed: int, n: int = 300) -> Tensor:
    return torch.nn.functional.normalize(normal(seed, n, 2), dim=1)


def disc(seed: int, n: int = 300) -> Tensor:
    radius = torch.rand(n, 1, generator=torch.Generator().manual_seed(seed)).sqrt()
    return radius * circle(seed, n)


# --- witness complexes ------------------------------------------------------------------------------------------------


def enters_at(distances: np.ndarray, simplex: tuple[int, ...]) -> float:
    """The scale at which some witness is no farther from the simplex's vertices than from any other landmark."""
    others = [landmark for landmark in range(distances.shape[1]) if landmark not in simplex]
    inside = distances[:, list(simplex)].max(1)
    outside = distances[:, others].min(1) if others else np.full(len(distances), np.inf)
    return max(0.0, (inside - outside).min())


def filtration(distances: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every vertex, edge and triangle with the scale at which it and its faces have witnesses."""
    found: dict[tuple[int, ...], float] = {}
    for size in (1, 2, 3):
        for simplex in combinations(range(distances.shape[1]), size):
            faces = [found[face] for face in combinations(simplex, size - 1) if face]
            found[simplex] = max([enters_at(distances, simplex), *faces])
    return found


def rank(matrix: np.ndarray) -> int:
    """The rank over Z/2."""
    rows, found = [int("".join(map(str, row)), 2) for row in matrix.astype(int) if row.any()], 0
    while rows:
        pivot = max(rows)
        rows = [min(row, row ^ pivot) for row in rows if row != pivot]
        rows, found = [row for row in rows if row], found + 1
    return found


def holes(simplices: dict[tuple[int, ...], float], scale: float) -> int:
    """β₁ over Z/2 of the complex at a scale: edges less the ranks of both boundaries."""
    there = [[s for s, enters in simplices.items() if len(s) == size and enters <= scale] for size in (1, 2, 3)]

    def boundary(size: int) -> np.ndarray:
        return np.array([[set(face) < set(s) for face in there[size - 1]] for s in there[size]]).reshape(
            len(there[size]), len(there[size - 1])
        )

    return len(there[1]) - rank(boundary(1)) - rank(boundary(2))


@given(st.integers(0, 2**31 - 1), st.sampled_from([5, 7]), st.sampled_from([0.3, 1.0]))
@settings(max_examples=12)
def test_holes_at_each_scale_are_those_of_the_definition(seed: int, landmarks: int, alpha_max: float) -> None:
    random = np.random.RandomState(seed)
    witnesses = random.standard_normal((14, 2))
    distances = cdist(witnesses, witnesses[:landmarks])
    found, simplices = loops(distances, alpha_max), filtration(distances)
    for scale in random.uniform(0, alpha_max, 12):
        alive = int(((found[:, 0] <= scale) & (scale < found[:, 1])).sum())
        assert alive == holes(simplices, scale)


@pytest.mark.parametrize("alpha_max", [0.003, 0.1, 0.5])
def test_landmarks_that_are_left_out_change_nothing(alpha_max: float) -> None:
    witnesses = normal(0, 80, 3).double().numpy()
    distances = cdist(witnesses, witnesses[:16])
    order = distances.argsort(1)
    whole = [[(j, row[j]) for j in nearest.tolist()] for nearest, row in zip(order, distances)]
    tree = load_gudhi().WitnessComplex(whole).create_simplex_tree(alpha_max, limit_dimension=2)
    tree.compute_persistence(homology_coeff_field=2)
    expected = sorted(map(tuple, tree.persistence_intervals_in_dimension(1)))
    assert sorted(map(tuple, loops(distances, alpha_max))) == expected
    assert sum(map(len, witness_table(distances, alpha_max))) <= 80 * 16


@given(st.integers(0, 2**31 - 1), st.integers(0, 8))
def test_living_times_are_those_counted_on_a_grid(seed: int, count: int) -> None:
    random = np.random.RandomState(seed)
    births = random.uniform(0, 1, count)
    deaths = np.where(random.uniform(size=count) < 0.3, np.inf, births + random.uniform(0, 1 - births))
    found = relative_living_times(np.stack([births, deaths], 1), 1.0, 4)
    grid = (np.arange(20_000) + 0.5) / 20_000
    alive = ((births[:, None] <= grid) & (grid < deaths[:, None])).sum(0)
    assert found == pytest.approx([np.mean(alive == holes) for holes in range(4)], abs=2e-3)


# --- value ------------------------------------------------------------------------------------------------------------


def test_a_circle_has_one_hole_and_a_disc_mostly_none() -> None:
    of_circle, of_disc = (np.mean([*QUICK._each_living_times(rows)], axis=0) for rows in (circle(0), disc(1)))
    assert of_circle[1] > 0.8
    assert of_disc[1] < 0.3
    assert of_circle.sum() == pytest.approx(1)
    expected = np.square(of_circle - of_disc).sum()
    assert ours(circle(0), disc(1)) == pytest.approx(expected, rel=1e-9)
    assert ours(circle(0), circle(2)) < 0.05 < 0.3 < expected


def test_the_default_scale_is_the_papers() -> None:
    rows = circle(0, 200)
    options = {"n": 3, "landmarks": 24}
    default, given_ = (GeometryScore(**options, gamma=gamma) for gamma in (None, 200 / (128 * 5000)))
    assert np.array_equal([*default._each_living_times(rows)], [*given_._each_living_times(rows)])


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_identical_and_moved_sides_are_at_0() -> None:
    rows = circle(0)
    assert ours(rows, rows) == 0
    assert ours(rows, 4 * rows) == pytest.approx(0, abs=1e-12)
    assert ours(rows, rows + 3) < 1e-3  # float32 rounds what is moved


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_a_collapsed_side_never_has_a_hole() -> None:
    ones = torch.ones(300, 2)
    assert ours(ones, ones + 1) == 0
    (times, *_) = QUICK._each_living_times(ones)
    assert times.tolist() == [1.0, *[0.0] * 99]
    assert ours(circle(0), ones) > 0.5


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_copies_of_witnesses_change_nothing() -> None:
    few = disc(0, 40)
    rows = few.repeat(3, 1)
    measure = GeometryScore(n=1, landmarks=20, gamma=0.2)
    (found,) = measure._each_living_times(rows)
    distances = cdist(rows.double().numpy(), rows.double().numpy())
    from_landmarks = distances[:, np.random.RandomState(0).choice(120, 20)]
    alpha_max = 0.2 * from_landmarks.max()
    expected = relative_living_times(loops(from_landmarks, alpha_max), alpha_max, 100)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_seed_decides_the_landmarks_and_the_global_random_state_does_not() -> None:
    real, fake = disc(0), disc(1)
    values = []
    for state in (0, 1):
        np.random.seed(state)
        values.append(ours(real, fake))
    assert values[0] == values[1] != ours(real, fake, GeometryScore(n=6, landmarks=24, gamma=0.2, seed=1))


def test_both_sides_have_as_many_samples() -> None:
    assert ours(disc(0, 200), disc(1, 60)) == ours(disc(0, 200), disc(1, 60), GeometryScore(6, 24, 0.2, most=60))


def test_freezing_the_real_side_changes_nothing() -> None:
    measure = GeometryScore(n=2, landmarks=12, gamma=0.2, most=40)
    samples = {"real": Features(disc(0, 90), index=torch.arange(90))}
    samples["fake"] = Features(disc(1, 70), index=torch.arange(70))
    for lived in lives(measure, samples, "real").values():
        assert lived == (compute(measure, samples), 40)


def test_one_sample_is_a_point_and_none_is_refused() -> None:
    assert ours(normal(0, 1, 3), normal(1, 1, 3)) == 0
    with pytest.raises(NotEnoughSamples, match="GeometryScore needs at least 1 fake samples, got 0"):
        ours(normal(0, 5, 3), normal(1, 0, 3))


# --- gudhi ------------------------------------------------------------------------------------------------------------


def test_without_gudhi_the_extra_is_named_and_the_key_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gudhi", None)
    with pytest.raises(ModuleNotFoundError, match=r'Remedy: pip install "streaming-metrics\[geometry\]"'):
        GeometryScore()
    assert parse_key("geometry_score").scalar == GeometryScore.known_scalars()[0]


@pytest.mark.parametrize("gamma", [0, -1.0, float("nan")])
def test_a_scale_is_positive(gamma: float) -> None:
    with pytest.raises(ValueError, match="GeometryScore gamma: expected a number greater than 0"):
        GeometryScore(gamma=gamma)
