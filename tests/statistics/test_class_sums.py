"""Class sums: what they are, and which states are none."""

from __future__ import annotations

import pytest
import torch

from streaming_metrics import Features
from streaming_metrics.statistics import ClassSums, State

SUMS = ClassSums(2, labels=3)


def state_of(rows: torch.Tensor, labels: list[int]) -> State:
    return SUMS.update(SUMS.empty(), Features(rows, labels=torch.tensor(labels, dtype=torch.int64)))


def test_each_class_is_counted_and_added_up_in_float64() -> None:
    rows = torch.tensor([[1.0, 2.0], [1e8, 0.0], [3.0, 5.0], [1.0, 0.0]])
    state = state_of(rows, [0, 2, 0, 2])
    assert SUMS.counts(state).tolist() == [2, 0, 2]
    assert state["sums"].tolist() == [[4, 7], [0, 0], [1e8 + 1, 0]]
    assert SUMS.means(state).tolist() == [[2, 3.5], [0, 0], [5e7 + 0.5, 0]]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"counts": torch.tensor([1, -1, 0])}, "numbers of samples"),
        ({"sums": torch.ones(3, 2).double()}, "zeros where a class has no sample"),
    ],
)
def test_what_is_no_sum_of_classes_is_refused(changed: State, told: str) -> None:
    state = state_of(torch.ones(2, 2), [0, 1])
    SUMS.check(state)
    with pytest.raises(ValueError, match=told):
        SUMS.check(state | changed)


def test_other_labels_are_refused() -> None:
    for wrong in (torch.tensor([0, 3]), torch.tensor([-1, 0]), torch.tensor([0.0, 1.0]), torch.tensor([0]), None):
        with pytest.raises(ValueError, match="labels: expected"):
            SUMS.update(SUMS.empty(), Features(torch.ones(2, 2), labels=wrong))
