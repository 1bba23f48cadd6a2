"""CT score against its definition by scikit-learn and SciPy; copying, ties, cells that do not count, both forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from scores import normal
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from streaming_metrics import CTScore, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.measures.mann_whitney import ranked, z_score
from streaming_metrics.statistics import CellDistances, Cells
from streaming_metrics.statistics.index import in_first_half

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
ROLES: tuple[str, ...] = ("train", "heldout", "fake")


def filled(measure: CTScore, sides: dict[str, Tensor], *frozen: str) -> GenerativeMetrics:
    """A metric, its roles frozen in this order before any others are filled."""
    metric = GenerativeMetrics([measure], extractor=None, num_features=sides["train"].shape[1])
    for role in (*frozen, *(role for role in ROLES if role not in frozen)):
        for rows in torch.arange(len(sides[role])).split(max(29, len(sides[role]) // 2)):
            metric.update(sides[role][rows], role=role, index=rows)
        if role in frozen:
            metric.freeze(role)
    return metric


def ours(sides: dict[str, Tensor], **options: Any) -> dict[str, float]:
    """Values by key, which must be the same whatever is frozen."""
    measure = CTScore(**options)
    found = [filled(measure, sides, *frozen).compute() for frozen in ((), ("heldout", "train"))]
    assert found[0] == found[1]
    return {key: value.item() for key, value in zip(measure.keys, found[0].values())}


def clustered(seed: int, sizes: tuple[int, ...], width: int, std: float = 1.0) -> Tensor:
    """Clusters so far apart that any k-means finds them, in a random order."""
    centres = 100 * torch.eye(width)[: len(sizes)].repeat_interleave(torch.tensor(sizes), 0)
    rows = centres + std * normal(seed, sum(sizes), width) * torch.linspace(1, 2, width)
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]


def by_definition(train: Tensor, heldout: Tensor, fake: Tensor, cells: int, components: int, least: int) -> float:
    t, p, q = (side.double().numpy() for side in (train, heldout, fake))
    if t.shape[1] > components:
        pca = PCA(components, svd_solver="full").fit(t)
        t, p, q = map(pca.transform, (t, p, q))
    parts = KMeans(cells, n_init="auto", random_state=0).fit(t)
    in_t, in_p, in_q = map(parts.predict, (t, p, q))
    total, weight = 0.0, 0.0
    for cell in range(cells):
        near = NearestNeighbors(n_neighbors=1).fit(t[in_t == cell])
        of_q, of_p = (near.kneighbors(side[inside == cell])[0].ravel() for side, inside in ((q, in_q), (p, in_p)))
        n, m = len(of_p), len(of_q)
        if m > least:
            u = mannwhitneyu(of_q, of_p).statistic
            total += n * (u - n * m / 2 + 0.5) / np.sqrt(n * m * (n + m + 1) / 12)
            weight += n
    return total / weight


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "components"), [(4, 64), (20, 6), (9, 8)])
def test_all_three_are_the_definition(width: int, components: int) -> None:
    """Where clusters are far apart: there any seeds and starts make the same cells."""
    sides = {
        "train": clustered(width, (60, 50, 40), width),
        "heldout": clustered(width + 1, (30, 40, 50), width),
        "fake": clustered(width + 2, (50, 35, 45), width, std=0.8),
    }
    train, heldout, fake = sides.values()
    first = in_first_half(torch.arange(len(heldout)))
    expected = {
        "ct": by_definition(train, heldout, fake, 3, components, 20),
        "ct_mem": by_definition(fake, heldout, train, 3, components, 20),
        "ct_mode": by_definition(heldout[first], heldout[~first], fake, 3, components, 20),
    }
    assert ours(sides, components=components, mem=True, mode=True) == pytest.approx(expected, rel=1e-9)
    assert ours(sides, components=components) == pytest.approx({"ct": expected["ct"]}, rel=1e-9)


def test_a_cell_of_few_generated_samples_does_not_count() -> None:
    sides = {
        "train": clustered(0, (60, 50, 40), 4),
        "heldout": clustered(1, (30, 40, 50), 4),
        "fake": clustered(2, (50, 20, 21), 4),
    }
    train, heldout, fake = sides.values()
    found = {least: ours(sides, least=least)["ct"] for least in (0, 19, 20, 21)}
    assert found == pytest.approx({k: by_definition(train, heldout, fake, 3, 64, k) for k in found}, rel=1e-9)
    assert found[0] == found[19]
    assert len(set(found.values())) == 3


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 9), (30, 17)])
@pytest.mark.parametrize("levels", [2, 6, 10_000])
def test_ties_are_counted_half(n: int, m: int, levels: int) -> None:
    random = np.random.RandomState(n)
    tests, others = random.randint(levels, size=n), random.randint(levels, size=m)
    count, doubled = ranked(torch.from_numpy(others).float(), torch.from_numpy(tests).float()).tolist()
    assert (count, doubled / 2) == (m, mannwhitneyu(others, tests).statistic)


def test_without_copying_it_is_standard_normal_in_one_cell() -> None:
    found = []
    for seed in range(20):
        sides = {role: normal(100 * seed + i, 60, 3) for i, role in enumerate(ROLES)}
        found.append(filled(CTScore(cells=1), sides, "train").compute()["ct_features"].item())
    assert abs(np.mean(found)) < 4 / 20**0.5
    assert 0.6 < np.std(found) < 1.5


def test_copies_are_below_0_and_a_poor_fit_is_above() -> None:
    train, heldout = normal(0, 300, 8), normal(1, 200, 8)
    copies, poor = train + 0.1 * normal(2, 300, 8), normal(3, 300, 8, std=1.6)
    found = filled(CTScore(mem=True), {"train": train, "heldout": heldout, "fake": copies}).compute()
    assert found["ct_features"] < -8
    assert found["ct_mem_features"] < -8
    assert ours({"train": train, "heldout": heldout, "fake": poor})["ct"] > 4


def test_crowding_is_below_0_by_held_out_halves() -> None:
    sides = {"train": normal(0, 300, 8), "heldout": normal(1, 400, 8), "fake": normal(2, 300, 8, std=0.5)}
    assert ours(sides, mode=True)["ct_mode"] < -6


def test_identical_samples_on_all_sides_are_all_ties() -> None:
    sides = dict.fromkeys(ROLES, torch.ones(30, 2))
    expected = z_score(*map(torch.tensor, (450.0, 30.0, 30.0))).item()  # ½ over the deviation
    assert ours(sides, cells=1) == pytest.approx({"ct": expected})


def test_of_one_feature() -> None:
    train, heldout, fake = (clustered(seed, (40, 30), 2)[:, :1] for seed in range(3))
    sides = {"train": train, "heldout": heldout, "fake": fake}
    assert ours(sides, cells=2)["ct"] == pytest.approx(by_definition(train, heldout, fake, 2, 64, 20), rel=1e-9)


# --- forms, states ----------------------------------------------------------------------------------------------------


def test_a_frozen_training_side_leaves_16_bytes_a_generated_sample() -> None:
    sides = {role: normal(i, 70, 12) for i, role in enumerate(ROLES)}

    def kept(metric: GenerativeMetrics) -> int:
        states = {name: state for name, state in metric.metric_state.items() if name.startswith("fake_")}
        return sum(state.nbytes for name, state in states.items() if "bank" in name or "cell" in name)  # pyright: ignore

    assert kept(filled(CTScore(), sides)) == 70 * (12 * 4 + 8)
    assert kept(filled(CTScore(), sides, "train")) == 70 * 16
    assert kept(filled(CTScore(mode=True), sides, "train")) == 70 * (12 * 4 + 8)


@pytest.mark.parametrize("row", [[-1.0, 0.5], [0.5, 0.5], [1.0, -0.5]])
def test_states_that_cannot_be_are_refused(row: list[float]) -> None:
    with pytest.raises(ValueError, match="cells, and distances of at least 0"):
        CellDistances(3, "two").check({"rows": torch.tensor([row]), "index": torch.tensor([0])})


def test_prepared_tensors_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected tensors of lengths {'centres': 3}, got {'centres': 2}"):
        CTScore().check_prepared({"centres": torch.zeros(2, 4)}, 9)
    with pytest.raises(ValueError, match="'axes': 64, 'mean': 1"):
        CTScore().check_prepared(
            {"centres": torch.zeros(3, 64), "axes": torch.zeros(9, 80), "mean": torch.zeros(1, 80)}, 9
        )


def test_cells_say_how_many_rows_they_hold() -> None:
    assert Cells(normal(0, 9, 2), torch.tensor([[0.0, 0.0], [99.0, 99.0]])).counts.tolist() == [9, 0]


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"heldout": clustered(1, (30, 40, 0), 4)}, "samples of both in every cell, got .* training and held-out"),
        ({"train": torch.ones(20, 4)}, "samples of both in every cell, got"),
        ({"fake": clustered(2, (15, 20, 10), 4)}, "more than 20 in a cell, got"),
    ],
)
def test_cells_that_cannot_be_compared_are_refused(changed: dict[str, Tensor], told: str) -> None:
    sides = {role: clustered(i, (30, 30, 30), 4) for i, role in enumerate(ROLES)} | changed
    for frozen in ((), ("train",)):
        with pytest.raises(NotEnoughSamples, match=f"CTScore needs {told}"):
            filled(CTScore(), sides, *frozen).compute()


@pytest.mark.parametrize(
    ("role", "n", "told"),
    [("train", 2, "3 train samples"), ("heldout", 0, "1 heldout samples"), ("fake", 20, "21 fake samples")],
)
def test_too_few_are_refused(role: str, n: int, told: str) -> None:
    sides = {role: normal(i, 30, 2) for i, role in enumerate(ROLES)}
    with pytest.raises(NotEnoughSamples, match=f"CTScore.* needs at least {told}, got {n}. Remedy"):
        filled(CTScore(), sides | {role: normal(9, n, 2)}).compute()
