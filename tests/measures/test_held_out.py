"""Held-out halves: which samples they are, and that ids alone decide."""

from __future__ import annotations

import torch
from scores import normal

from streaming_metrics import Features, Spec
from streaming_metrics.measures.base import Side, Sides
from streaming_metrics.measures.held_out import balanced_halves, balanced_size
from streaming_metrics.statistics import Bank

BANK = Bank(2, capacity=30)


def side(role: str, index: torch.Tensor) -> Side:
    """A side whose rows say which samples they are."""
    rows = torch.stack([index.float(), normal(0, len(index), 1)[:, 0]], 1)
    state = BANK.update(BANK.empty(), Features(rows, index=index))
    return Side(role, len(index), {BANK: state})


def sides(real: torch.Tensor, fake: torch.Tensor) -> Sides:
    return Sides({"real": side("real", real), "fake": side("fake", fake)}, Spec(2))


def ids(rows: torch.Tensor) -> list[int]:
    return rows[:, 0].long().tolist()


def test_as_many_of_both_sides_in_halves_without_a_sample_in_common() -> None:
    given = sides(torch.arange(25), torch.arange(100, 117))
    assert balanced_size(given, 30) == 17
    for half, samples in zip(balanced_halves(given, BANK, 30), (range(25), range(100, 117))):
        assert (len(half.train), len(half.test)) == (8, 9)
        assert len({*ids(half.train), *ids(half.test)}) == 17
        assert {*ids(half.train), *ids(half.test)} <= {*samples}


def test_ids_alone_decide() -> None:
    order = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    ordered, shuffled = (balanced_halves(sides(index, order), BANK, 20).real for index in (torch.arange(25), order))
    assert ids(ordered.train) == ids(shuffled.train)
    assert ids(ordered.test) == ids(shuffled.test)


def test_halves_of_ids_in_order_are_mixed() -> None:
    half = balanced_halves(sides(torch.arange(30), torch.arange(30)), BANK, 30).real
    early = sum(sample < 15 for sample in ids(half.train))
    assert 3 <= early <= 12


def test_pairs_of_one_id_stay_together() -> None:
    real, fake = balanced_halves(sides(torch.arange(30), torch.arange(30)), BANK, 30)
    assert ids(real.train) == ids(fake.train)
