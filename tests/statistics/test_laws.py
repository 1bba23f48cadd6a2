"""Laws that every statistic keeps: one table, splits, orders and partitions drawn by hypothesis."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from conftest import STATISTICS, draw_features, name_of
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from streaming_metrics import Features
    from streaming_metrics.statistics import State, Statistic

SEEDS = st.integers(0, 2**31 - 1)
CUTS = st.lists(st.integers(0, 40), max_size=6).map(sorted)

every_statistic = pytest.mark.parametrize("statistic", STATISTICS, ids=name_of)


def streamed(statistic: Statistic, batches: list[Features]) -> State:
    return reduce(statistic.update, batches, statistic.empty())


def split(features: Features, cuts: list[int]) -> list[Features]:
    edges = [0, *cuts, len(features)]
    return [features[start:stop] for start, stop in pairwise(edges)]


def check_same(one: State, other: State) -> None:
    """Equal up to rounding; a bank up to the order of its rows."""
    one, other = (dict(sorted(state.items())) for state in (one, other))
    if "index" in one:
        orders = one["index"].argsort(), other["index"].argsort()
        one, other = (
            {key: t[order] if t.ndim else t for key, t in state.items()} for state, order in zip((one, other), orders)
        )
    assert one.keys() == other.keys()
    for key in one:
        torch.testing.assert_close(one[key], other[key], rtol=1e-9, atol=1e-12)


@every_statistic
@given(seed=SEEDS, cuts=CUTS)
def test_splits_do_not_matter(statistic: Statistic, seed: int, cuts: list[int]) -> None:
    features = draw_features(seed)
    check_same(streamed(statistic, [features]), streamed(statistic, split(features, cuts)))


@every_statistic
@given(seed=SEEDS, cuts=CUTS)
def test_order_does_not_matter(statistic: Statistic, seed: int, cuts: list[int]) -> None:
    features = draw_features(seed)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    check_same(streamed(statistic, [features]), streamed(statistic, split(features[order], cuts)))


@pytest.mark.parametrize("statistic", [s for s in STATISTICS if getattr(s, "num_samples", None) is None], ids=name_of)
def test_a_batch_of_many_chunks_is_that_of_small_ones(statistic: Statistic) -> None:
    """So large a batch is looked at piece by piece, and every row of it is still the row that it was."""
    features = draw_features(0, 4500)
    check_same(streamed(statistic, [features]), streamed(statistic, split(features, [*range(97, 4500, 97)])))


@every_statistic
@given(seed=SEEDS, cuts=CUTS)
def test_merge_of_parts_is_the_whole(statistic: Statistic, seed: int, cuts: list[int]) -> None:
    features = draw_features(seed)
    parts = [streamed(statistic, [part]) for part in split(features, cuts)]
    check_same(streamed(statistic, [features]), statistic.merge(parts))


@every_statistic
@given(seed=SEEDS)
def test_merge_is_associative_and_commutative(statistic: Statistic, seed: int) -> None:
    a, b, c = (streamed(statistic, [part]) for part in split(draw_features(seed), [11, 24]))
    check_same(statistic.merge([statistic.merge([a, b]), c]), statistic.merge([a, statistic.merge([b, c])]))
    check_same(statistic.merge([a, b, c]), statistic.merge([c, a, b]))


@every_statistic
@given(seed=SEEDS)
def test_empty_is_the_identity(statistic: Statistic, seed: int) -> None:
    state = streamed(statistic, [draw_features(seed)])
    for pair in ([statistic.empty(), state], [state, statistic.empty()]):
        check_same(statistic.merge(pair), state)
    check_same(statistic.merge([statistic.empty(), statistic.empty()]), statistic.empty())


@every_statistic
@given(seed=SEEDS)
def test_update_is_a_merge_with_the_batch(statistic: Statistic, seed: int) -> None:
    first, second = split(draw_features(seed), [17])
    merged = statistic.merge([streamed(statistic, [first]), streamed(statistic, [second])])
    check_same(statistic.update(streamed(statistic, [first]), second), merged)


@every_statistic
def test_merge_leaves_its_arguments(statistic: Statistic) -> None:
    parts = [streamed(statistic, [part]) for part in split(draw_features(0), [13])]
    before = [{key: tensor.clone() for key, tensor in part.items()} for part in parts]
    merged = statistic.merge(parts)
    statistic.update(merged, draw_features(1))
    for part, copy in zip(parts, before):
        for key in part:
            assert torch.equal(part[key], copy[key])


@every_statistic
def test_states_of_other_parameters_are_refused(statistic: Statistic) -> None:
    state = streamed(statistic, [draw_features(0)])
    statistic.check(state)
    for key in state:
        with pytest.raises(ValueError, match="expected"):
            statistic.check(state | {key: state[key].to(torch.float16)})
        with pytest.raises(ValueError, match="expected"):
            statistic.check(state | {key: state[key].unsqueeze(0)})


def test_names_are_as_distinct_as_the_statistics() -> None:
    names = [statistic.name for statistic in STATISTICS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
