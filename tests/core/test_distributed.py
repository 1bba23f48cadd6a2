"""The same number on 1, 2, 3 and 4 ranks, uneven or empty, and the same bits on each."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import (
    CLASSES,
    MEASURES,
    STAND_FOR_RANKS,
    STATISTICS,
    WIDTH,
    WIDTHS,
    draw_features,
    draw_side,
    freeze,
    is_quick,
    name_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws import check_same

from streaming_metrics import FID, PRDC, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.distributed.comm import Comm, MissingRanks
from streaming_metrics.measures.base import MORE

if TYPE_CHECKING:
    from conftest import Ranks

    from streaming_metrics import Measure
    from streaming_metrics.features import Role
    from streaming_metrics.statistics import State, Statistic

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

PARTITIONS = {
    "one": [[0, 40]],
    "two": [[0, 20, 40]],
    "uneven": [[0, 33, 40]],
    "empty": [[0, 0, 40]],
    "three": [[0, 1, 30, 40]],
    "three-with-empty": [[0, 25, 25, 40]],
    "four-single": [[0, 1, 2, 3, 40]],
}
SLOW = {"two", "four-single"}
"""What three ranks, of which one has a single sample or none, show in less time."""


def row(value: Any, name: str, quick: bool, *others: Any) -> Any:
    identity = "-".join([name_of(value), *(["frozen"] if others == (True,) else []), name])
    return pytest.param(value, *others, PARTITIONS[name][0], marks=[pytest.mark.slow] * (not quick), id=identity)


def row_of(measure: Measure, frozen: bool, name: str) -> Any:
    """Return a row: quickly each is cut once as it is and once frozen, and few in every way."""
    once = name == ("empty" if frozen else "uneven") and is_quick(measure)
    return row(measure, name, once or (measure in STAND_FOR_RANKS and not frozen and name not in SLOW), frozen)


every_measure = [
    row_of(measure, frozen, name) for measure in MEASURES for frozen in (False, True) for name in PARTITIONS
]
every_statistic = [row(each, name, name == "three-with-empty") for each, name in product(STATISTICS, PARTITIONS)]


def parts_of(features: Features, edges: list[int]) -> list[Features]:
    return [features[start:stop] for start, stop in pairwise(edges)]


def reduced(group: Any, statistic: Statistic, part: Features) -> tuple[State, State]:
    state = statistic.update(statistic.empty(), part)
    return statistic.all_reduce(state, Comm(group)), statistic.replicate(state, Comm(group))


@pytest.mark.parametrize(("statistic", "edges"), every_statistic)
def test_all_reduce_is_the_merge_of_all_ranks(ranks: Ranks, statistic: Statistic, edges: list[int]) -> None:
    features = draw_features(3)
    whole = statistic.update(statistic.empty(), features)
    answers = ranks.run(len(edges) - 1, reduced, statistic, each=parts_of(features, edges))
    for _, replicated in answers:
        check_same(replicated, whole)
    shards = [shard for shard, _ in answers]
    if statistic.is_sharded:
        check_same({key: torch.cat([shard[key] for shard in shards]) for key in whole}, whole)
    else:
        for shard in shards:
            check_same(shard, whole)


def build(measure: Measure, **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(
        [measure], extractor=None, num_features=WIDTH, num_classes=CLASSES, widths=WIDTHS, **options
    )


def computed(group: Any, measure: Measure, frozen: bool, parts: dict[Role, Features]) -> list[dict[str, float]]:
    metric = build(measure, process_group=group)
    values = []
    for role, part in parts.items():
        for batch in parts_of(part, [0, len(part) // 2, len(part)]):
            metric.update(batch, role=role)
    for _ in range(2):
        if frozen:
            freeze(metric)
        values.append({key: value.item() for key, value in metric.compute().items()})
    return values


@pytest.mark.parametrize(("measure", "frozen", "edges"), every_measure)
def test_one_number_whatever_the_ranks(ranks: Ranks, measure: Measure, frozen: bool, edges: list[int]) -> None:
    sides = {role: draw_side(role, seed=2) for role in build(measure).roles}
    alone = computed(None, measure, False, sides)[0]
    reversed_edges = [40 - edge for edge in reversed(edges)]
    cuts = {role: reversed_edges if role == "fake" else edges for role in sides}
    answers = ranks.run(len(edges) - 1, computed, measure, frozen, each=dealt(sides, cuts))
    assert all(values == answers[0][0] for rank in answers for values in rank), "not the same bits"
    assert answers[0][0] == pytest.approx(alone, **MEASURES[measure])


def dealt(sides: dict[Role, Features], cuts: dict[Role, list[int]]) -> list[dict[Role, Features]]:
    """Return what each rank gets of each side."""
    parts = zip(*(parts_of(side, cuts[role]) for role, side in sides.items()))
    return [dict(zip(sides, each)) for each in parts]


@given(
    measure=st.sampled_from(list(MEASURES)),
    seed=st.integers(0, 2**31 - 1),
    cuts=st.tuples(*[st.lists(st.integers(0, 40), max_size=3).map(sorted)] * 4),
)
@settings(max_examples=40)
def test_any_partition_of_any_order_gives_the_number(
    ranks: Ranks, measure: Measure, seed: int, cuts: tuple[list[int], ...]
) -> None:
    roles = build(measure).roles
    world_size = 1 + min(map(len, cuts[: len(roles)]))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    sides = {role: draw_side(role, seed) for role in roles}
    edges = {role: [0, *cut[: world_size - 1], 40] for role, cut in zip(roles, cuts)}
    each = dealt({role: side[order] for role, side in sides.items()}, edges)
    alone = computed(None, measure, False, sides)[0]
    for values in ranks.run(world_size, computed, measure, False, each=each):
        assert values[0] == pytest.approx(alone, **MEASURES[measure])


HARD = {
    "identical": (draw_features(7), draw_features(7)),
    "duplicated": (draw_features(8)[torch.arange(40) // 2], draw_features(8)[torch.arange(40) // 3]),
    "far from 0": (draw_features(9, shift=1e3), draw_features(10, shift=1e3)),
}


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize("case", HARD)
def test_neighbour_counts_are_exact_on_hard_features(ranks: Ranks, case: str) -> None:
    real, fake = (side.having(index=torch.arange(40)) for side in HARD[case])
    sides = {"real": real, "fake": fake}
    alone = computed(None, PRDC(k=3), False, sides)[0]
    for edges in ([0, 19, 40], [0, 1, 30, 40]):
        each = dealt(sides, dict.fromkeys(sides, edges))
        for answer in ranks.run(len(edges) - 1, computed, PRDC(k=3), False, each=each):
            assert answer[0] == alone


def too_few(group: Any, part: Features) -> str:
    metric = build(FID(), process_group=group)
    metric.update(part, real=True)
    metric.update(draw_features(0, n=0 if Comm(group).rank else 1), real=False)
    with pytest.raises(NotEnoughSamples) as caught:
        metric.compute()
    metric.update(draw_features(1), real=False)
    metric.compute()
    return str(caught.value)


def test_an_error_is_raised_on_every_rank_and_leaves_the_metric_usable(ranks: Ranks) -> None:
    messages = ranks.run(2, too_few, each=parts_of(draw_features(2), [0, 20, 40]))
    assert messages == [f"FID needs at least 2 fake samples, got 1. Remedy: {MORE}."] * 2


def patient(group: Any, seconds: float) -> tuple[str, float]:
    metric = build(FID(), process_group=group, timeout=seconds)
    for role in (True, False):
        metric.update(draw_features(4 + role), real=role)
    try:
        return "", metric.compute()["fd_features"].item()
    except MissingRanks as error:
        return str(error), 0.0


def test_compute_on_some_ranks_names_the_missing_ones_on_each_and_does_not_hang(ranks: Ranks) -> None:
    for present, missing in ((1, "[1, 2]"), (2, "[2]")):
        for message, _ in ranks.run(present, patient, 0.5, group_of=3):
            assert f"Ranks {missing} of 3" in message
            assert "rank_zero_only" in message
    answers = ranks.run(3, patient, 60.0)
    assert [message for message, _ in answers] == [""] * 3
    assert len({value for _, value in answers}) == 1


def synced(group: Any, part: Features) -> tuple[float, float, int, int]:
    metric = build(PRDC(k=3), process_group=group)
    for role in (True, False):
        metric.update(part if role else part.having(pool=part.pool + 0.2), real=role)
    metric.sync(distributed_available=lambda: True)
    during, held = metric.compute()["density_features"].item(), metric.num_samples("real")
    metric.unsync()
    return during, metric.compute()["density_features"].item(), held, metric.num_samples("real")


def test_sync_makes_states_whole_and_unsync_restores_them(ranks: Ranks) -> None:
    for during, after, held, own in ranks.run(2, synced, each=parts_of(draw_features(12), [0, 15, 40])):
        assert during == after
        assert held == 40
        assert own in (15, 25)


def same_index_everywhere(group: Any, part: Features) -> str:
    metric = build(PRDC(k=3), process_group=group)
    metric.update(part, real=True)
    metric.update(draw_features(1), real=False)
    with pytest.raises(ValueError, match="came twice") as caught:
        metric.compute()
    return str(caught.value)


def test_samples_that_every_rank_holds_are_refused(ranks: Ranks) -> None:
    assert "40 fake samples" in ranks.run(2, same_index_everywhere, each=parts_of(draw_features(2), [0, 20, 40]))[0]


def different_metrics(group: Any) -> str:
    metric = build(PRDC(k=3) if Comm(group).rank else FID(), process_group=group)
    metric.update(draw_features(0), real=True)
    if Comm(group).rank:
        vars(metric)[metric._layout.frozen["real"]] = torch.tensor([1, 0, 1])
    with pytest.raises(RuntimeError, match="do not compute the same metric") as caught:
        metric.compute()
    return str(caught.value)


def test_ranks_at_different_metrics_are_told_so(ranks: Ranks) -> None:
    ranks.run(2, different_metrics)


def index_sets(group: Any) -> list[int]:
    metric = build(PRDC(k=3), process_group=group)
    metric.update(draw_features(Comm(group).rank).having(index=None), real=True)
    (bank,) = [state for statistic, state in metric._states.local("real", 0).states.items() if statistic.is_sharded]
    return bank["index"].tolist()


def test_anonymous_samples_of_different_ranks_are_different(ranks: Ranks) -> None:
    everyone = reduce(list.__add__, ranks.run(3, index_sets))
    assert len(set(everyone)) == len(everyone)


def compared_by(group: Any, measure: Measure, parts: dict[Role, Features]) -> list[tuple[list[int], list[float]]]:
    metric = build(measure, process_group=group)
    for role, part in parts.items():
        metric.update(part, role=role)
    metric.compute()
    (evidence,) = metric.evidence.values()
    assert evidence.real is not None
    return [(side.index.tolist(), [evidence.value, *side.values.tolist()]) for side in (evidence.fake, evidence.real)]


@pytest.mark.parametrize("measure", [FID(se=True, both=True, reservoir=16), FID(se=True, cluster=4, reservoir=20)])
def test_evidence_is_the_same_on_any_ranks(ranks: Ranks, measure: Measure) -> None:
    sides: dict[Role, Features] = {"real": draw_features(0), "fake": draw_features(1, shift=0.3)}
    whole = compared_by(None, measure, sides)
    for edges in ([0, 33, 40], [0, 25, 25, 40]):
        each = [{role: parts_of(side, edges)[rank] for role, side in sides.items()} for rank in range(len(edges) - 1)]
        for found in ranks.run(len(edges) - 1, compared_by, measure, each=each):
            for (ids, values), (known, expected) in zip(found, whole):
                assert ids == known
                assert values == pytest.approx(expected, rel=1e-9, abs=1e-9)
