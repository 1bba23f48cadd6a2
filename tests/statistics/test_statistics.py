"""Each statistic against numpy or the rule that its docstring states; the laws are in test_laws."""

from __future__ import annotations

from functools import reduce
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import normal

from streaming_metrics import Features
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.statistics import Bank, Count, Marginals, Moments, state_device
from streaming_metrics.statistics.index import anonymous_index, check_index, hashed, is_anonymous, ordinal

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.statistics import State

SEEDS = st.integers(0, 2**31 - 1)
SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=8)


def numbered(rows: Tensor, start: int = 0) -> Features:
    return Features(pool=rows, logits=rows, index=torch.arange(start, start + len(rows)))


def streamed(statistic: Any, features: Features, sizes: list[int]) -> State:
    ends = list(accumulate(sizes))
    parts = [features[end - size : end] for size, end in zip(sizes, ends)]
    return reduce(statistic.update, parts, statistic.empty())


# --- moments ----------------------------------------------------------------------------------------------------------


@given(SEEDS, SIZES, st.integers(1, 9), st.sampled_from([0.0, 1.0, -1e5]))
@settings(max_examples=30, deadline=None)
def test_moments_are_numpys(seed: int, sizes: list[int], width: int, mean: float) -> None:
    rows, moments = normal(seed, 2 + sum(sizes), width, mean), Moments(width)
    state = streamed(moments, numbered(rows), [2, *sizes])
    x = rows.double().numpy()
    assert moments.count(state) == len(x)
    np.testing.assert_allclose(moments.mean(state), x.mean(0), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(moments.covariance(state), np.atleast_2d(np.cov(x, rowvar=False)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moments.scatter(state), (x - x.mean(0)).T @ (x - x.mean(0)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [1, 2, 63, 64, 65, 128, 129])
def test_moments_of_one_rank_are_reduced_to_themselves(width: int) -> None:
    moments = Moments(width)
    state = streamed(moments, numbered(normal(0, 20, width)), [20])
    before = state["moments"].clone()
    reduced = moments.all_reduce(state, Comm.single())["moments"]
    assert torch.equal(state["moments"], before)
    torch.testing.assert_close(reduced, before, rtol=1e-14, atol=1e-14)


def test_moments_are_updated_where_they_lie() -> None:
    moments = Moments(4)
    state = moments.update(moments.empty(), numbered(normal(0, 5, 4)))
    where = state["moments"].data_ptr()
    assert moments.update(state, numbered(normal(1, 5, 4)))["moments"].data_ptr() == where


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_moments_take_any_float(dtype: torch.dtype) -> None:
    rows, moments = normal(0, 30, 3).to(dtype), Moments(3)
    torch.testing.assert_close(moments.covariance(streamed(moments, numbered(rows), [30])), rows.double().T.cov())


# --- bank -------------------------------------------------------------------------------------------------------------


@given(SEEDS, SIZES)
@settings(max_examples=20, deadline=None)
def test_a_bank_keeps_rows_and_ids_as_they_came(seed: int, sizes: list[int]) -> None:
    features = numbered(normal(seed, sum(sizes), 3), start=5)
    state = streamed(Bank(3), features, sizes)
    assert torch.equal(state["rows"], features.pool)
    assert torch.equal(state["index"], features.index)


def test_a_bank_grows_in_place_and_doubles_when_full() -> None:
    bank, state = Bank(2), Bank(2).empty()
    places = []
    for i in range(1000):
        state = bank.update(state, numbered(torch.full((1, 2), float(i)), i))
        places.append((state["rows"].data_ptr(), state["index"].data_ptr()))
        assert state["rows"].untyped_storage().nbytes() <= 2 * state["rows"].nbytes
    moves = sum(one != other for one, other in pairwise(places))
    assert moves <= 2 * 10
    assert torch.equal(state["rows"][:, 0], torch.arange(1000.0))


@pytest.mark.parametrize("capacity", [None, 6])
def test_banks_do_not_share_memory(capacity: int | None) -> None:
    bank = Bank(1, capacity)
    state = streamed(bank, numbered(torch.zeros(9, 1)), [4, 5])
    copies = [bank.merge([state]), bank.merge([state, bank.empty()]), bank.merge([state, state])]
    if capacity is not None:
        copies.append(bank.update(bank.empty(), Features(pool=state["rows"], index=state["index"])))
    for copy in copies:
        bank.update(copy, numbered(torch.ones(50, 1), 100))
    assert (state["rows"] == 0).all()
    grown = bank.update(bank.merge([state]), numbered(torch.ones(50, 1), 100))
    assert len(grown["rows"]) == (59 if capacity is None else 6)


@given(SEEDS, SIZES, st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_a_reservoir_keeps_the_smallest_hashed_ids(seed: int, sizes: list[int], capacity: int) -> None:
    n = sum(sizes)
    ids = torch.randperm(10 * n + 1, generator=torch.Generator().manual_seed(seed))[:n]
    features = Features(pool=ids.float().unsqueeze(1), index=ids)
    state = streamed(Bank(1, capacity), features, sizes)
    expected = sorted(ids.tolist(), key=splitmix64)[:capacity]
    assert sorted(state["index"].tolist()) == sorted(expected)
    assert torch.equal(state["rows"].squeeze(1), state["index"].float())


@pytest.mark.parametrize("anonymous", [False, True])
def test_a_reservoir_is_a_uniform_sample_of_its_stream(anonymous: bool) -> None:
    kept = torch.zeros(20)
    for i in range(1000):
        index = anonymous_index(20 * i, 20, rank=3) if anonymous else torch.arange(20 * i, 20 * i + 20)
        state = Bank(1, 5).update(Bank(1, 5).empty(), Features(pool=torch.arange(20.0).unsqueeze(1), index=index))
        kept[state["rows"].long().squeeze(1)] += 1
    assert kept.sum() == 5000
    chi_squared = ((kept - 250) ** 2 / (250 * 0.75)).sum()
    assert 5 < chi_squared < 45


@given(SEEDS, st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_shares_of_a_bank_are_its_parts(seed: int, world_size: int) -> None:
    bank, features = Bank(2), numbered(normal(seed, 23, 2))
    state = streamed(bank, features, [23])
    merged = bank.merge([bank.share(state, rank, world_size) for rank in range(world_size)])
    order = merged["index"].argsort()
    assert torch.equal(merged["rows"][order], features.pool)


def test_banks_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(ValueError, match="capacity: expected at least 1"):
        Bank(2, capacity=0)
    state = streamed(Bank(2), numbered(normal(0, 5, 2)), [5])
    with pytest.raises(ValueError, match="one length within the capacity"):
        Bank(2).check(state | {"index": state["index"][:4]})
    with pytest.raises(ValueError, match="one length within the capacity"):
        Bank(2, capacity=4).check(state)


# --- marginals --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_contiguous_splits_are_slices(n: int, splits: int) -> None:
    expected = torch.cat([torch.full(((s + 1) * n // splits - s * n // splits,), s) for s in range(splits)])
    marginals = Marginals(2, splits, "contiguous", n)
    assert torch.equal(marginals.split_of(torch.arange(n)), expected)
    assert torch.equal(marginals.split_of(anonymous_index(0, n, rank=0)), expected)


@given(st.integers(1, 60), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_shuffled_splits_are_slices_of_the_permutation(n: int, splits: int) -> None:
    permutation = np.random.RandomState(2020).permutation(n)
    split_of = Marginals(2, splits, "shuffled", n).split_of(torch.arange(n))
    for s in range(splits):
        assert (split_of[permutation[s * n // splits : (s + 1) * n // splits]] == s).all()


@pytest.mark.parametrize("assignment", ["contiguous", "shuffled"])
def test_samples_beyond_n_are_in_no_split(assignment: Any) -> None:
    marginals = Marginals(2, 3, assignment, 10)
    anonymous = anonymous_index(10, 1, rank=0), anonymous_index(0, 1, rank=1)
    beyond = torch.cat([torch.tensor([10, 11, 2**40 - 1]), *anonymous])
    assert (marginals.split_of(beyond) == 3).all()
    state = marginals.update(marginals.empty(), Features(logits=torch.zeros(5, 2), index=beyond))
    assert marginals.misplaced(state) == 5
    assert marginals.counts(state).tolist() == [0, 0, 0]


@given(SEEDS, st.integers(1, 4), st.sampled_from([1.0, 30.0, 1e4]))
@settings(max_examples=20, deadline=None)
def test_marginals_are_sums_of_softmax(seed: int, splits: int, scale: float) -> None:
    logits = normal(seed, 25, 6, std=scale)
    marginals = Marginals(6, splits)
    state = streamed(marginals, numbered(logits), [10, 15])
    p = np.exp(logits.double().numpy() - logits.double().numpy().max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    negentropy = (p * np.log(np.where(p > 0, p, 1))).sum(1)
    for s, part in enumerate(slice(s, None, splits) for s in range(splits)):
        assert marginals.counts(state)[s] == len(p[part])
        np.testing.assert_allclose(marginals.probabilities(state)[s], p[part].sum(0), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(marginals.negentropies(state)[s], negentropy[part].sum(), rtol=1e-12, atol=1e-14)


# --- index ------------------------------------------------------------------------------------------------------------


def splitmix64(i: int) -> int:
    """Steele et al.'s finaliser on unsigned integers, as a signed one."""
    z = (i + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    return z - 2**64 if z >= 2**63 else z


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_hashed_is_splitmix64(ids: list[int]) -> None:
    assert hashed(torch.tensor(ids)).tolist() == [splitmix64(i) for i in ids]


def test_anonymous_ids_are_distinct_over_ranks_and_arrivals() -> None:
    ids = torch.cat([anonymous_index(seen, 10, rank) for rank in (0, 1, 4095) for seen in (0, 10, 2**40 - 10)])
    assert len(ids.unique()) == len(ids)
    assert is_anonymous(ids).all()
    assert not is_anonymous(torch.tensor([0, 2**40 - 1])).any()
    assert ordinal(anonymous_index(7, 2, rank=0)).tolist() == [7, 8]
    assert ordinal(torch.tensor([7, 8])).tolist() == [7, 8]
    assert (ordinal(anonymous_index(0, 2, rank=1)) >= 2**40).all()


@pytest.mark.parametrize(
    ("index", "error", "told"),
    [
        (torch.zeros(3), TypeError, "expected an int64 tensor, got torch.float32"),
        ([0, 1, 2], TypeError, "expected an int64 tensor, got list"),
        (torch.arange(4), ValueError, r"expected shape \(3,\), one id for each sample, got \(4,\)"),
        (torch.arange(3) - 1, ValueError, r"expected ids in \[0, 2\*\*40\), got -1 to 1"),
        (torch.arange(3) + 2**40, ValueError, r"expected ids in \[0, 2\*\*40\)"),
    ],
)
def test_bad_ids_are_refused(index: Any, error: type[Exception], told: str) -> None:
    check_index(torch.arange(3), 3)
    check_index(torch.arange(0), 0)
    with pytest.raises(error, match=told):
        check_index(index, 3)


# --- count and devices ------------------------------------------------------------------------------------------------


def test_a_count_stays_on_the_cpu_and_counts_any_column() -> None:
    count = Count()
    state = count.update(count.update(count.empty("meta"), Features(logits=torch.zeros(3, 2))), Features())
    assert state["n"].device.type == "cpu"
    assert state["n"] == 3
    assert count.move(state, torch.device("meta"))["n"].device.type == "cpu"


@pytest.mark.parametrize(("device", "home"), [("mps", "cpu"), ("cpu", "cpu"), ("cuda:1", "cuda:1")])
def test_states_live_where_float64_is(device: str, home: str) -> None:
    assert state_device(device) == torch.device(home)
