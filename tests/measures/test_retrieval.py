"""Image retrieval by scikit-learn's neighbours and by brute force: tied, copied, collapsed, far, on ranks, bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from by_hand import compute, compute_unbound, lives
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal
from sklearn.neighbors import NearestNeighbors

from streaming_metrics import Features, GenerativeMetrics, ImageRetrieval, NotEnoughSamples, Spec
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.statistics import FixedRows, NearestPoints
from streaming_metrics.statistics.index import hashed

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
KS = (1, 3, 7)
repeating = pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")


def labelled(rows: Tensor, classes: int = 3) -> Features:
    index = torch.arange(len(rows))
    return Features(rows, index=index, labels=hashed(index + len(rows)) % classes)


def ours(real: Features, fake: Features, freeze: bool = True, batch: int = 17, **options: Any) -> dict[str, float]:
    measure = ImageRetrieval(**{"classes": 3, "ks": KS} | options)
    assert real.pool is not None
    metric = GenerativeMetrics([measure], extractor=None, num_features=real.pool.shape[1])
    metric.update(real, real=True)
    if freeze:
        metric.freeze_real()
    for start in range(0, len(fake), batch):
        metric.update(fake[start : start + batch], real=False)
    return dict(zip(measure.keys, (value.item() for value in metric.compute().values())))


def brute_force(real: Features, fake: Features, ks: tuple[int, ...] = KS) -> dict[str, float]:
    """Of exact squares of differences, ties by the order of ids, which numpy's stable sort keeps."""
    x, y = (side.pool.double().numpy() for side in (real, fake))  # pyright: ignore[reportOptionalMemberAccess]
    squared = ((x[:, None] - y[None]) ** 2).sum(2)
    found = fake.labels.numpy()[squared.argsort(1, kind="stable")]  # pyright: ignore[reportOptionalMemberAccess]
    is_relevant = found == real.labels.numpy()[:, None]  # pyright: ignore[reportOptionalMemberAccess]
    nearest = squared.min(1) ** 0.5
    distances = {"retrieval_distance": nearest.mean(), "retrieval_median": np.median(nearest)}
    return distances | {f"recall_at_{k}": is_relevant[:, :k].any(1).mean() for k in ks}


def grid(seed: int, n: int, width: int, levels: int) -> Tensor:
    return torch.randint(levels, (n, width), generator=torch.Generator().manual_seed(seed)).float()


# --- value ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "width"), [(1, 7, 1), (60, 90, 3), (40, 300, 64), (30, 33, 512)])
@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (1e4, 1.0), (0.0, 1e-9)])
def test_value_is_scikit_learns(n: int, m: int, width: int, mean: float, scale: float) -> None:
    real, fake = labelled(normal(0, n, width, mean) * scale), labelled(normal(1, m, width, mean + 0.1, 0.9) * scale)
    x, y = (side.pool.double().numpy() for side in (real, fake))  # pyright: ignore[reportOptionalMemberAccess]
    distances, places = (
        NearestNeighbors(n_neighbors=7, algorithm="brute", metric="l2").fit(y - y[0]).kneighbors(x - y[0])
    )
    is_relevant = fake.labels.numpy()[places] == real.labels.numpy()[:, None]  # pyright: ignore
    expected = {"retrieval_distance": distances[:, 0].mean(), "retrieval_median": np.median(distances[:, 0])}
    expected |= {f"recall_at_{k}": is_relevant[:, :k].any(1).mean() for k in KS}
    assert ours(real, fake) == pytest.approx(expected, rel=1e-6)


@repeating
@pytest.mark.parametrize(("width", "levels"), [(1, 40), (2, 5), (3, 3), (40, 2)])
@given(seed=SEEDS, origin=st.sampled_from([0.0, 0.25, 1e5]))
@settings(max_examples=8)
def test_ties_go_to_the_smallest_ids(width: int, levels: int, seed: int, origin: float) -> None:
    real, fake = (labelled(grid(seed + i, n, width, levels) + origin) for i, n in ((0, 45), (1, 60)))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
    assert ours(real, fake[order]) == pytest.approx(brute_force(real, fake))


@repeating
@pytest.mark.parametrize("spread", [0.0, 1e-6])
def test_a_collapsed_generator_finds_nobody_nearer(spread: float) -> None:
    real, fake = labelled(normal(0, 50, 300)), labelled(normal(1, 1, 300) + spread * normal(2, 400, 300))
    assert ours(real, fake) == pytest.approx(brute_force(real, fake))


@repeating
def test_copies_are_at_no_distance_and_of_their_class() -> None:
    real = labelled(normal(0, 50, 8))
    assert ours(real, real) == {"retrieval_distance": 0, "retrieval_median": 0} | {f"recall_at_{k}": 1 for k in KS}


@pytest.mark.parametrize("batch", [100, 700])
@pytest.mark.parametrize("freeze", [False, True])
def test_large_batches_have_the_labels_of_their_own_rows(batch: int, freeze: bool) -> None:
    real, fake = labelled(normal(0, 40, 4)), labelled(normal(1, 700, 4))
    assert ours(real, fake, freeze, batch=batch) == pytest.approx(brute_force(real, fake), rel=1e-12)


@repeating
def test_a_generator_that_collapses_farther_away_is_streamed() -> None:
    """Bounds in float32 leave open whether any of the later samples is nearer; none is."""
    real = labelled(normal(0, 40, 64))
    rows = 10 * normal(1, 1, 64).repeat(120, 1)
    fake = labelled(torch.cat([rows[:60], rows[60:] * (1 + 1e-6)]))
    assert ours(real, fake, batch=60) == pytest.approx(brute_force(real, fake), rel=1e-12)


def test_a_lost_class_is_not_found() -> None:
    real, fake = (
        Features(normal(s, 60, 3) + 9 * (torch.arange(60) % 3).unsqueeze(1), labels=torch.arange(60) % 3)
        for s in (0, 1)
    )
    kept = fake[torch.arange(60) % 3 != 2]
    assert ours(real, fake)["recall_at_1"] == 1
    assert ours(real, kept)["recall_at_7"] == pytest.approx(2 / 3)
    assert ours(real, kept)["retrieval_distance"] > 2 * ours(real, fake)["retrieval_distance"]


def test_labels_that_say_nothing_are_found_by_chance() -> None:
    real, fake = (
        Features(normal(s, 400, 5), labels=torch.randint(4, (400,), generator=torch.Generator().manual_seed(s)))
        for s in (0, 1)
    )
    q = torch.bincount(fake.labels, minlength=4)[real.labels] / 400  # pyright: ignore
    for k in KS:
        assert abs(ours(real, fake, classes=4)[f"recall_at_{k}"] - (1 - (1 - q) ** k).mean()) < 4 * 0.5 / 400**0.5


def test_queries_are_those_that_ids_choose() -> None:
    real, fake = labelled(normal(0, 90, 4)), labelled(normal(1, 70, 4))
    chosen = hashed(torch.arange(90)).argsort()[:20]
    assert ours(real, fake, most=20) == pytest.approx(brute_force(real[chosen], fake))


def test_without_classes_labels_are_not_asked_for() -> None:
    real, fake = labelled(normal(0, 30, 4)), labelled(normal(1, 40, 4))
    found = ours(real.having(labels=None), fake.having(labels=None), classes=None)
    assert found == {key: ours(real, fake)[key] for key in ("retrieval_distance", "retrieval_median")}


# --- ranks, orders, states --------------------------------------------------------------------------------------------


def on_a_rank(group: Any, samples: dict[str, Features]) -> tuple[dict[str, float], dict[str, float]]:
    comm, measure = Comm(group), ImageRetrieval(most=30)
    return compute(measure, samples, comm), compute_unbound(measure, samples, comm)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("rows", [normal, grid])
def test_ranks_and_orders_do_not_matter(ranks: Ranks, world_size: int, rows: Any) -> None:
    real, fake = (labelled(rows(seed, n, 3, 4)) for seed, n in ((0, 50), (1, 41)))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    shares = [
        {"real": real[order[rank::world_size]], "fake": fake[torch.arange(41) % world_size == rank]}
        for rank in range(world_size)
    ]
    expected = compute(ImageRetrieval(most=30), {"real": real, "fake": fake})
    assert ranks.run(world_size, on_a_rank, each=shares) == [(expected, expected)] * world_size


@pytest.mark.parametrize("measure", [ImageRetrieval(), ImageRetrieval(classes=3, ks=(2,))], ids=repr)
def test_a_frozen_real_side_leaves_the_nearest_alone_of_generated_samples(measure: ImageRetrieval) -> None:
    samples = {"real": labelled(normal(0, 90, 3)), "fake": labelled(normal(1, 70, 3))}
    found, expected = lives(measure, samples, "real"), brute_force(samples["real"], samples["fake"], measure.ks)
    for how, lived in found.items():
        assert lived.values == pytest.approx({key: expected[key] for key in measure.keys}), how
        assert lived.rows_kept == (70 if how == "nothing frozen" else 0)


def test_nothing_frozen_gives_the_same() -> None:
    real, fake = labelled(normal(0, 50, 4)), labelled(normal(1, 60, 4))
    assert ours(real, fake, freeze=False) == ours(real, fake)


def test_states_that_cannot_be_are_refused() -> None:
    statistic = NearestPoints(3, k=3, labels=3, rows=FixedRows(normal(0, 5, 3)))
    state = statistic.update(statistic.empty(), labelled(normal(1, 2, 3)))
    statistic.check(state)
    assert statistic.bounds(state) == (2, 2)
    for key, wrong, told in (
        ("squared", state["squared"].flip(1), "ascend"),
        ("squared", state["squared"] - 1e3, "ascend"),
        ("ids", -state["ids"], "an id a point"),
        ("ids", state["ids"] * 0, "an id a point"),
        ("labels", state["labels"] + 3, "a label a point"),
        ("labels", state["labels"] * 0, "a label a point"),
    ):
        with pytest.raises(ValueError, match=told):
            statistic.check(state | {key: wrong})


@pytest.mark.parametrize("places", [torch.arange(9), torch.arange(8) // 2, torch.arange(8) + 1])
def test_saved_places_that_cannot_be_are_refused(places: Tensor) -> None:
    assert ImageRetrieval().prepares(Spec(3)).keys() == {"places"}
    ImageRetrieval().check_prepared({"places": torch.arange(8)}, 8)
    with pytest.raises(ValueError, match="expected 8 different places among 8 rows"):
        ImageRetrieval().check_prepared({"places": places}, 8)


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "m", "told"), [(0, 9, "1 real samples, got 0"), (5, 6, "7 fake samples, got 6. Remedy: .*smaller `ks`")]
)
def test_too_few_are_refused(n: int, m: int, told: str) -> None:
    with pytest.raises(NotEnoughSamples, match=f"ImageRetrieval.* needs at least {told}"):
        ours(labelled(normal(0, n, 2)), labelled(normal(1, m, 2)), freeze=False)


@pytest.mark.parametrize("ks", [(), (1, 1), (0,), (2.5,), "one"])
def test_ks_are_different_integers(ks: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="ImageRetrieval ks: expected"):
        ImageRetrieval(ks=ks)
    assert ImageRetrieval(ks=3) == ImageRetrieval(ks=(3,))  # pyright: ignore[reportArgumentType]
