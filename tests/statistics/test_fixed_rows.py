"""Fixed sides, rows or balls, let go of their features when they go."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING
from weakref import ref

import pytest
import torch
from scores import normal

from streaming_metrics.pairwise import Balls, Shard
from streaming_metrics.statistics import FixedRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

USES: dict[str, Callable[[Tensor, Tensor], object]] = {
    "rows": lambda rows, points: FixedRows(rows).nearest(points),
    "balls": lambda rows, points: Balls.around(rows, k=2).count(points),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_features_go_with_the_fixed_side_that_they_are_of(use: Callable[[Tensor, Tensor], object]) -> None:
    rows = normal(0, 9, 3)
    use(rows, normal(1, 5, 3))
    alive = ref(rows)
    del rows
    gc.collect()
    assert alive() is None


def test_norms_of_fixed_rows_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, fixed = [], FixedRows(normal(0, 9, 3))
    init = Shard.__init__

    def counted(shard: Shard, rows: Tensor, *rest: Tensor) -> None:
        made.append(len(rows))
        init(shard, rows, *rest)

    monkeypatch.setattr(Shard, "__init__", counted)
    for seed in range(3):
        fixed.nearest(normal(seed, 4, 3))
    assert made.count(9) == 1
    assert torch.equal(fixed.nearest(fixed.rows)[1], torch.arange(9))
