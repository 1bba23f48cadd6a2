"""Pair results over banks of any roles: against brute force, on any ranks, and kept for frozen sides alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from brute_force import SIZES, WIDTH, check, sides_of
from conftest import REDUCTIONS

from streaming_metrics.core import pairs
from streaming_metrics.core.pairs import PairCache, reduce_pairs
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.measures.base import Side
from streaming_metrics.pairwise import (
    BallCounts,
    Draw,
    KernelSums,
    Nearest,
    PolynomialKernel,
    Radii,
    RBFKernel,
    SubsetSums,
    Tiling,
)
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conftest import Ranks
    from torch import Tensor

    from streaming_metrics.pairwise import PairReduction

BANK, ROWS = Bank(WIDTH), sides_of("plain", 0)
KERNEL = PolynomialKernel()
OF_REAL = [Radii("real", 3), KernelSums("real", "real", KERNEL)]
OF_PAIRS = [BallCounts("real", 3), Nearest("fake", "train"), KernelSums("train", "train", RBFKernel((1.0,)))]


def side(role: str, rows: Tensor, index: Tensor | None = None) -> Side:
    index = torch.arange(len(rows)) if index is None else index
    return Side(role, len(rows), {BANK: {"rows": rows, "index": index}})


def sides(rows: Mapping[str, Tensor] = ROWS) -> dict[str, Side]:
    return {role: side(role, each) for role, each in rows.items()}


def reduced(reductions: list[PairReduction], cache: PairCache, given: dict[str, Side] | None = None) -> Any:
    return reduce_pairs(BANK, reductions, given or sides(), Comm.single(), cache)


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> list[PairReduction]:
    """The reductions that were swept."""
    seen: list[PairReduction] = []
    sweep = pairs.sweep
    monkeypatch.setattr(pairs, "sweep", lambda wanted, *given: seen.extend(wanted) or sweep(wanted, *given))
    return seen


@pytest.mark.parametrize("tiling", [None, Tiling(16, 2, bf16=True)], ids=repr)
def test_all_reductions_at_once_are_dense_brute_force(tiling: Tiling | None) -> None:
    results = reduce_pairs(BANK, REDUCTIONS, sides(), Comm.single(), PairCache(), tiling)
    for reduction in REDUCTIONS:
        check(reduction, results[reduction], ROWS)


def test_each_pair_of_sides_is_swept_once_those_that_others_require_first(swept: list[PairReduction]) -> None:
    reduced([BallCounts("fake", 3), *OF_PAIRS], PairCache())
    assert len(swept) == len(set(swept))
    assert swept.index(Radii("fake", 3)) < swept.index(BallCounts("fake", 3))
    assert swept.index(Radii("real", 3)) < swept.index(BallCounts("real", 3))


def test_only_the_sides_that_are_named_are_needed() -> None:
    results = reduced([Radii("train", 2)], PairCache(), {"train": sides()["train"]})
    check(Radii("train", 2), results[Radii("train", 2)], ROWS)


def test_what_depends_on_a_frozen_side_alone_is_swept_once(swept: list[PairReduction]) -> None:
    cache = PairCache(frozen=frozenset({"real", "train"}))
    first = reduced([*OF_REAL, *OF_PAIRS], cache)
    swept.clear()
    again = reduced([*OF_REAL, *OF_PAIRS], cache)
    assert swept == [BallCounts("real", 3), Nearest("fake", "train")]
    assert first.keys() == again.keys()
    assert all(torch.equal(first[reduction], again[reduction]) for reduction in first)


def test_what_is_not_frozen_is_not_kept(swept: list[PairReduction]) -> None:
    cache = PairCache()
    reduced(OF_REAL, cache)
    changed = {**sides(), "real": side("real", ROWS["real"] + ROWS["real"].roll(1, 0))}
    swept.clear()
    reduced(OF_REAL, cache, changed)
    assert swept == OF_REAL
    assert not cache.results


def test_subsets_of_a_frozen_side_are_drawn_anew_where_the_other_changes_size(swept: list[PairReduction]) -> None:
    cache, subsets = PairCache(frozenset({"real"})), SubsetSums("real", "real", KERNEL, Draw(3, 8, 0))
    for rows, sweeps in ((ROWS["fake"], 1), (ROWS["fake"] + 1, 0), (ROWS["fake"][:20], 1)):
        swept.clear()
        now = {"real": ROWS["real"], "fake": rows}
        check(subsets, reduced([subsets], cache, sides(now))[subsets], now)
        assert len(swept) == sweeps
        assert len(cache.results) == 1


def test_a_copy_of_a_cache_leaves_the_cache() -> None:
    cache = PairCache(frozenset({"real"}))
    reduced(OF_REAL, cache)
    kept = dict(cache.results)
    reduced([Radii("real", 1)], cache.copy())
    assert cache.results.keys() == kept.keys()
    assert cache.to(torch.device("cpu")) == cache


def test_a_sample_that_came_twice_is_named() -> None:
    twice = {**sides(), "train": side("train", ROWS["train"], torch.arange(SIZES["train"]) // 2)}
    with pytest.raises(ValueError, match=r"11 train samples came twice, e\.g\. index 0"):
        reduced([Nearest("fake", "train")], PairCache(), twice)


def on_ranks(group: Any, forgetful: bool) -> list[list[Tensor]]:
    comm = Comm(group)
    shuffled = {role: torch.randperm(n, generator=torch.Generator().manual_seed(n)) for role, n in SIZES.items()}
    mine = {role: order[comm.rank :: comm.world_size] for role, order in shuffled.items()}
    given = {role: side(role, ROWS[role][index], index) for role, index in mine.items()}
    cache = PairCache(frozenset({"real"}))
    first = reduce_pairs(BANK, REDUCTIONS, given, comm, cache)
    if forgetful and comm.rank == 0:
        cache.results.clear()
    again = reduce_pairs(BANK, REDUCTIONS, given, comm, cache)
    return [[results[reduction] for reduction in REDUCTIONS] for results in (first, again)]


@pytest.mark.parametrize("forgetful", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_any_ranks_find_the_same(ranks: Ranks, world_size: int, forgetful: bool) -> None:
    for results in ranks.run(world_size, on_ranks, forgetful):
        for result in results:
            for reduction, value in zip(REDUCTIONS, result):
                check(reduction, value, ROWS)
