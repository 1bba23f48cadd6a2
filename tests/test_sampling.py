"""Exactness on any number of ranks: padding dropped, global numbers, dealt chunks, isolated randomness."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric.utilities.distributed import DistributedSamplerWrapper
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
)

from streaming_metrics.sampling import (
    chunks,
    global_index,
    isolated_rng,
    keep_unpadded,
    sampler_of,
    seed_of,
)

WORLDS = [1, 2, 3, 4]
SIZES = [1, 2, 3, 7, 11, 12]


def samplers(kind: str, size: int, world_size: int) -> list[Any]:
    data, common = range(size), {"num_replicas": world_size}
    make = {
        "in order": lambda rank: DistributedSampler(data, rank=rank, shuffle=False, **common),
        "shuffled": lambda rank: DistributedSampler(data, rank=rank, shuffle=True, seed=3, **common),
        "drop last": lambda rank: DistributedSampler(data, rank=rank, drop_last=True, shuffle=False, **common),
        "wrapper": lambda rank: DistributedSamplerWrapper(SequentialSampler(data), rank=rank, shuffle=False, **common),
        "unrepeated": lambda rank: UnrepeatedDistributedSampler(data, rank=rank, shuffle=False, **common),
    }[kind]
    return [make(rank) for rank in range(world_size)]


def seen_by(sampler: Any, batch_size: int) -> dict[int, int]:
    """Return the samples that are kept, by global number."""
    dealt, kept = torch.tensor(list(sampler)), {}
    for start in range(0, len(dealt), batch_size):
        batch = dealt[start : start + batch_size]
        keep, index = keep_unpadded(sampler, start, len(batch)), global_index(sampler, start, len(batch))
        kept |= dict(zip(index[keep].tolist(), batch[keep].tolist()))
        assert len(kept) == len(set(kept.values()))
    return kept


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["in order", "shuffled", "wrapper"])
def test_every_sample_is_kept_once(kind: str, size: int, world_size: int) -> None:
    ranks = [seen_by(sampler, batch_size=2) for sampler in samplers(kind, size, world_size)]
    kept = [sample for rank in ranks for sample in rank.values()]
    assert sorted(kept) == list(range(size))


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize("kind", ["in order", "shuffled", "wrapper"])
def test_a_number_names_the_same_sample_for_every_world_size(kind: str, world_size: int) -> None:
    ranks = [seen_by(sampler, batch_size=3) for sampler in samplers(kind, 11, world_size)]
    together = {number: sample for rank in ranks for number, sample in rank.items()}
    assert together == seen_by(samplers(kind, 11, 1)[0], batch_size=4)


@pytest.mark.parametrize(
    ("kind", "world_size"), [("drop last", 2), ("drop last", 4), ("unrepeated", 2), ("unrepeated", 3)]
)
def test_samplers_that_do_not_pad_keep_all(kind: str, world_size: int) -> None:
    for sampler in samplers(kind, 11, world_size):
        dealt = len(list(sampler))
        assert keep_unpadded(sampler, 0, dealt).all()


@pytest.mark.parametrize("sampler", [None, SequentialSampler(range(5)), RandomSampler(range(5))])
def test_plain_samplers_count_on_and_keep_all(sampler: Any) -> None:
    assert keep_unpadded(sampler, 2, 3).all()
    assert global_index(sampler, 2, 3).tolist() == [2, 3, 4]


def test_numbers_of_ranks_with_data_of_their_own_do_not_collide() -> None:
    numbers = [n for rank in range(3) for n in global_index(None, 4, 5, rank, 3).tolist()]
    assert len(set(numbers)) == 15


def test_the_sampler_is_found_inside_a_batch_sampler() -> None:
    inner = DistributedSampler(range(11), num_replicas=2, rank=0)
    assert sampler_of(DataLoader(range(11), batch_sampler=BatchSampler(inner, 2, drop_last=False))) is inner
    assert sampler_of(DataLoader(range(11), sampler=inner)) is inner
    assert sampler_of(object()) is None


@pytest.mark.parametrize("world_size", WORLDS)
@pytest.mark.parametrize(("num_samples", "batch_size"), [(1, 4), (4, 4), (10, 4), (1000, 64), (3, 1)])
def test_chunks_are_the_same_for_every_world_size(num_samples: int, batch_size: int, world_size: int) -> None:
    dealt = [list(chunks(num_samples, batch_size, rank, world_size, seed=5)) for rank in range(world_size)]
    together = sorted((chunk for rank in dealt for chunk in rank), key=lambda chunk: chunk.start)
    assert together == list(chunks(num_samples, batch_size, seed=5))
    assert torch.equal(torch.cat([chunk.index for chunk in together]), torch.arange(num_samples))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_seeds_are_distinct_and_in_range() -> None:
    seeds = {seed_of(seed, number) for seed in range(20) for number in range(200)}
    assert len(seeds) == 4000
    assert all(0 <= seed < 2**63 for seed in seeds)


def draw_all() -> list[float]:
    return [random.random(), np.random.rand(), torch.rand(()).item()]


def test_isolated_rng_draws_by_its_seed_and_leaves_no_trace() -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = [draw_all(), draw_all()]
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    first = draw_all()
    with isolated_rng(7):
        inside = draw_all()
    assert [first, draw_all()] == expected
    with isolated_rng(7):
        assert draw_all() == inside
    with isolated_rng(8):
        assert draw_all() != inside


def test_isolated_rng_restores_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), isolated_rng(1):
        torch.rand(5).view(2)
    assert torch.equal(before, torch.get_rng_state())


def test_isolated_rng_without_a_seed_goes_on() -> None:
    torch.manual_seed(0)
    with isolated_rng():
        inside = torch.rand(3)
    assert torch.equal(inside, torch.rand(3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_isolated_rng_covers_cuda() -> None:
    torch.cuda.manual_seed_all(0)
    with isolated_rng(7):
        inside = torch.rand(3, device="cuda")
    after = torch.rand(3, device="cuda")
    torch.cuda.manual_seed_all(0)
    assert torch.equal(after, torch.rand(3, device="cuda"))
    with isolated_rng(7):
        assert torch.equal(inside, torch.rand(3, device="cuda"))
