"""Classifier two-sample test against scikit-learn's classifiers, enumerated permutations, and simulated nulls."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, lives
from scipy.stats import binom, norm
from scores import normal
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from streaming_metrics import C2ST, Features, NotEnoughSamples
from streaming_metrics.measures.nearest_labels import NearestLabels
from streaming_metrics.pairwise import distances
from streaming_metrics.pairwise.distances import pair_distances
from streaming_metrics.pairwise.tiles import Tile
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.pairwise.shards import Shard

NO_P = C2ST(permutations=0)
HELD_OUT = [C2ST("logistic"), C2ST("mlp")]


def ours(measure: C2ST, real: Tensor, fake: Tensor) -> dict[str, float]:
    sides = {"real": real, "fake": fake}
    samples = {role: Features(rows, index=torch.arange(len(rows))) for role, rows in sides.items()}
    return compute(measure, samples, batch_size=500)


# --- nearest neighbours -----------------------------------------------------------------------------------------------


def literal(real: Tensor, fake: Tensor) -> tuple[float, float, float]:
    """Leave-one-out accuracies of scikit-learn's nearest neighbour."""
    pool, sides = torch.cat([real, fake]).numpy(), np.repeat([0, 1], [len(real), len(fake)])
    found = NearestNeighbors(n_neighbors=1).fit(pool).kneighbors(return_distance=False)[:, 0]
    same = sides == sides[found]
    return same.mean(), same[sides == 0].mean(), same[sides == 1].mean()


@pytest.mark.parametrize(("n", "width", "shift"), [(4, 2, 0.0), (60, 3, 0.0), (80, 40, 0.4), (50, 5, 9.0)])
def test_accuracy_is_scikit_learns_nearest_neighbour(n: int, width: int, shift: float) -> None:
    real, fake = normal(n, n, width), normal(n + 1, n, width, shift)
    assert tuple(ours(NO_P, real, fake).values()) == pytest.approx(literal(real, fake), rel=1e-12)


def test_far_from_the_origin_neighbours_are_the_same() -> None:
    real, fake = (256 * normal(seed, 60, 3).mul(64).round() / 64 for seed in (0, 1))
    assert ours(NO_P, real, fake) == ours(NO_P, real + 2**14, fake + 2**14)


def ties(real: list[float], fake: list[float]) -> tuple[Tensor, ...]:
    labels = NearestLabels(*(torch.tensor(side).unsqueeze(1) for side in (real, fake)))
    return labels.accuracies


def test_equally_near_ones_count_in_parts() -> None:
    # 1 is as near to 0 as to 2; both copies at 9 see one another
    accuracy, of_real, of_fake = ties([0.0, 1.0, 9.0], [2.0, 9.0, 5.0])
    assert of_real == pytest.approx((1 + 0.5 + 0) / 3)
    assert of_fake == pytest.approx((0 + 0 + 1) / 3)  # 5 sees 2, of its own side; 9 sees the real 9
    assert accuracy == pytest.approx((of_real + of_fake) / 2)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_copies_of_the_real_side_are_at_0() -> None:
    rows = normal(0, 50, 4)
    assert ours(C2ST(), rows, rows) == {"c2st": 0.0, "c2st_real": 0.0, "c2st_fake": 0.0, "c2st_p": 1.0}


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("images", [1, 3])
def test_a_collapsed_generator_is_told_apart(images: int) -> None:
    values = ours(C2ST(), normal(0, 60, 4), normal(1, images, 4).repeat(60 // images, 1))
    assert values["c2st_fake"] == 1
    assert values["c2st"] > 0.9
    assert values["c2st_p"] == 0.001


@pytest.mark.parametrize(("noise", "most"), [(0.0, 0), (1e-3, 400)])
def test_pairs_of_a_collapsed_generator_are_not_measured_one_by_one(
    monkeypatch: pytest.MonkeyPatch, noise: float, most: int
) -> None:
    counts = []

    def counted(x: Shard, y: Shard, rows: Tensor, columns: Tensor) -> Tensor:
        counts.append(len(rows))
        return pair_distances(x, y, rows, columns)

    monkeypatch.setattr(distances, "pair_distances", counted)
    fake = normal(1, 3, 256)[torch.arange(200) % 3] + noise * normal(2, 200, 256)
    of_fake = NearestLabels(normal(0, 200, 256), fake).accuracies[2]
    assert of_fake == 1
    assert sum(counts) <= most


@pytest.mark.parametrize("scale", [2.0**-80, 2.0**80])
def test_neighbours_are_the_same_where_squares_are_beyond_float32(scale: float) -> None:
    real, fake = normal(0, 60, 5), normal(1, 60, 5, 0.4)
    assert NearestLabels(scale * real, scale * fake).accuracies == NearestLabels(real, fake).accuracies


def test_neighbours_that_float32_tells_apart_need_no_products_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tile, "bounds64", None)
    real, fake = normal(0, 300, 64), normal(1, 300, 64)
    assert [*map(float, NearestLabels(real, fake).accuracies)] == pytest.approx(literal(real, fake), rel=1e-12)


def test_zero_has_no_sign() -> None:
    _, of_real, of_fake = ties([0.0, 9.0], [-0.0, -0.0])  # 9 is as near to all three
    assert of_real == pytest.approx((0 + 1 / 3) / 2)
    assert of_fake == 0.5


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
def test_features_that_are_all_one_tell_nothing() -> None:
    ones, n = torch.ones(20, 3), 20
    values = ours(C2ST(), ones, ones)
    assert values["c2st"] == pytest.approx((n - 1) / (2 * n - 1))
    assert values["c2st_p"] == 1
    assert {*ours(C2ST("logistic"), ones, ones).values()} == {0.5}
    network = ours(C2ST("mlp"), ones, ones)
    assert network["c2st"] == network["c2st_p"] == 0.5


@pytest.mark.parametrize(("n", "seed", "rounded"), [(4, 0, False), (4, 3, False), (4, 1, True)])
def test_p_value_is_the_share_of_all_ways_to_deal_the_sides(n: int, seed: int, rounded: bool) -> None:
    real, fake = normal(seed, n, 2, std=2.0), normal(seed + 50, n, 2, 0.8, std=2.0)
    real, fake = (side.round() if rounded else side for side in (real, fake))
    labels = NearestLabels(real, fake)
    pool, observed = torch.cat([real, fake]), labels.accuracies[0]
    dealt = []
    for chosen in combinations(range(2 * n), n):
        rest = [row for row in range(2 * n) if row not in chosen]
        dealt.append(NearestLabels(pool[list(chosen)], pool[rest]).accuracies[0].item())
    exact = np.mean(np.array(dealt) >= observed.item() - 1e-12)
    assert abs(labels.p_value(20_000, seed=0).item() - exact) < 5 * (exact * (1 - exact) / 20_000) ** 0.5 + 1e-4
    assert 0.02 < exact < 0.99


def test_mean_accuracy_under_the_null_is_that_of_other_samples() -> None:
    n = 4
    values = [ours(NO_P, normal(2 * seed, n, 3), normal(2 * seed + 1, n, 3))["c2st"] for seed in range(150)]
    assert abs(np.mean(values) - (n - 1) / (2 * n - 1)) < 5 * np.std(values) / len(values) ** 0.5


# --- held-out classifiers ---------------------------------------------------------------------------------------------


def in_order_of_hash(rows: Tensor) -> np.ndarray:
    return rows[hashed(torch.arange(len(rows))).argsort()].numpy()


@pytest.mark.parametrize(("n", "width", "shift"), [(80, 3, 0.5), (101, 60, 0.2), (40, 2, 0.0)])
def test_logistic_accuracy_is_scikit_learns(n: int, width: int, shift: float) -> None:
    real, fake = normal(n, n, width), normal(n + 1, n, width, shift)
    halves = [np.split(in_order_of_hash(side), [n // 2]) for side in (real, fake)]
    scaler = StandardScaler().fit(np.concatenate([train for train, _ in halves]))
    x = scaler.transform(np.concatenate([train for train, _ in halves]))
    peer = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(x, np.repeat([1, 0], n // 2))
    of_real, of_fake = (
        np.mean(peer.predict(scaler.transform(test)) == label) for label, (_, test) in zip((1, 0), halves)
    )
    values = ours(C2ST("logistic"), real, fake)
    assert (values["c2st_real"], values["c2st_fake"]) == pytest.approx((of_real, of_fake))
    assert values["c2st"] == pytest.approx((of_real + of_fake) / 2)
    deviation = 0.5 / np.sqrt(2 * (n - n // 2))
    assert values["c2st_p"] == pytest.approx(norm.sf((values["c2st"] - 0.5) / deviation), rel=1e-9)


def test_a_perceptron_finds_what_a_line_cannot() -> None:
    real, fake = normal(0, 600, 2), normal(1, 600, 2, std=0.3)
    line, network = (ours(C2ST(classifier), real, fake) for classifier in ("logistic", "mlp"))
    assert line["c2st"] < 0.6
    assert network["c2st"] > 0.8
    assert network["c2st_p"] < 1e-9


def test_features_of_any_scale_are_the_same_to_a_classifier() -> None:
    real, fake = normal(0, 80, 3), normal(1, 80, 3, 0.7)
    factors = torch.tensor([1e-10, 1.0, 2.0**40])
    for measure in HELD_OUT:
        assert ours(measure, factors * real, factors * fake)["c2st"] == pytest.approx(
            ours(measure, real, fake)["c2st"], abs=0.03
        )


def test_a_seed_decides_and_the_global_random_state_does_not() -> None:
    real, fake = normal(0, 80, 3), normal(1, 80, 3, 0.4)
    values = []
    for state in (0, 1):
        torch.manual_seed(state)
        np.random.seed(state)
        values.append([ours(measure, real, fake) for measure in (C2ST(), *HELD_OUT)])
    assert values[0] == values[1]
    assert ours(C2ST(seed=1), real, fake)["c2st"] == values[0][0]["c2st"]
    assert ours(C2ST(seed=1), real, fake)["c2st_p"] != values[0][0]["c2st_p"]


# --- p-values under the null ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("measure", "draws", "n"), [(C2ST(permutations=39), 150, 30), (C2ST("logistic"), 150, 60)])
def test_levels_are_kept_under_the_null(measure: C2ST, draws: int, n: int) -> None:
    values = np.array([ours(measure, normal(2 * s, n, 3), normal(2 * s + 1, n, 3))["c2st_p"] for s in range(draws)])
    for level in (0.05, 0.2, 0.5):
        error = (level * (1 - level) / draws) ** 0.5
        assert (values <= level).mean() < level + 4 * error
        assert (values <= level).mean() > 0.4 * level - 4 * error  # accuracies are few: levels are met in steps
    assert 0.4 < values.mean() < 0.62


@pytest.mark.parametrize("n", [12, 18, 50])
@pytest.mark.parametrize("share", [0.5, 0.3])
def test_the_papers_p_value_of_any_classifier_keeps_levels(n: int, share: float) -> None:
    """It calls this share of samples real, of either side; all numbers of those are summed over."""
    counts = np.arange(n // 2 + 1)
    odds = np.outer(*[binom.pmf(counts, n // 2, share)] * 2)
    p_values = norm.sf((np.subtract.outer(counts, counts) / n) * 2 * n**0.5)
    for level in (0.01, 0.05, 0.1, 0.2):
        assert odds[p_values <= level].sum() < 1.6 * level


@pytest.mark.parametrize("measure", [C2ST(permutations=99), C2ST("logistic")], ids=str)
def test_a_shift_is_found(measure: C2ST) -> None:
    values = [ours(measure, normal(2 * s, 200, 3), normal(2 * s + 1, 200, 3, 0.7))["c2st_p"] for s in range(12)]
    assert np.mean(np.array(values) <= 0.05) > 0.9


# --- which samples ----------------------------------------------------------------------------------------------------


def test_sides_are_balanced_by_ids_alone() -> None:
    real, fake = normal(0, 90, 4), normal(1, 40, 4, 0.5)
    kept = hashed(torch.arange(90)).argsort()[:40].sort().values
    assert ours(C2ST(), real, fake) == ours(C2ST(), real[kept], fake)
    assert ours(C2ST(most=40), real, fake) == ours(C2ST(), real, fake)


@pytest.mark.parametrize("measure", [C2ST(most=40), C2ST("logistic", most=40), C2ST("mlp", most=40)], ids=str)
def test_freezing_the_real_side_changes_nothing(measure: C2ST) -> None:
    real, fake = normal(0, 90, 4), normal(1, 70, 4)
    samples = {"real": Features(real, index=torch.arange(90)), "fake": Features(fake, index=torch.arange(70))}
    for lived in lives(measure, samples, "real").values():
        assert lived == (compute(measure, samples), 40)


def test_fewer_than_4_samples_are_refused() -> None:
    for measure in (C2ST(), *HELD_OUT):
        with pytest.raises(NotEnoughSamples, match="C2ST needs at least 4 fake samples, got 3"):
            ours(measure, normal(0, 9, 3), normal(1, 3, 3))
        assert 0 <= ours(measure, normal(0, 9, 3), normal(1, 4, 3))["c2st"] <= 1


@pytest.mark.parametrize(
    ("options", "told"),
    [({"classifier": "svm"}, "C2ST classifier: expected one of knn, logistic, mlp, got 'svm'"), ({"most": 3}, "most")],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        C2ST(**options)


def test_keys_are_those_of_the_options() -> None:
    assert C2ST().keys == C2ST("mlp", permutations=0).keys == ("c2st", "c2st_real", "c2st_fake", "c2st_p")
    assert NO_P.keys == ("c2st", "c2st_real", "c2st_fake")
