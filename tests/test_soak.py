"""Many epochs leave nothing behind: the short form of benchmarks/soak.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import soak

from streaming_metrics.distributed.comm import Comm

if TYPE_CHECKING:
    from conftest import Ranks

EPOCHS = 30
pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


@pytest.mark.parametrize("world_size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_tensor_outlives_its_epoch(ranks: Ranks, world_size: int) -> None:
    for seen in ranks.run(world_size, in_pool, world_size):
        (early, few), (late, many) = seen[0], seen[-1]
        assert many == few
        assert late < 1.02 * early


def in_pool(group: object, world_size: int) -> list[tuple[int, int]]:
    return soak.soak(Comm(group).rank, world_size, EPOCHS, process_group=group)
