"""What a compute may move and hold: bytes handed to collectives, bytes of tensors alive at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import torch
from live_bytes import LiveBytes

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics
from streaming_metrics.core.pairs import PairCache, reduce_pairs
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.features import Spec
from streaming_metrics.measures.base import Side
from streaming_metrics.pairwise import Tiling
from streaming_metrics.statistics import Bank

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ranks

MIB = 2**20


class Payload:
    """Counts the bytes that this rank hands to all-reduces, and the largest single message."""

    def __enter__(self) -> Payload:
        self.total = self.largest = 0
        original = Comm._all_reduce

        def counted(comm: Comm, tensor: torch.Tensor, operation: str) -> Callable[[], torch.Tensor]:
            self.total += tensor.nbytes
            self.largest = max(self.largest, tensor.nbytes)
            return original(comm, tensor, operation)

        self._patch = mock.patch.object(Comm, "_all_reduce", counted)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()


def reduced_moments(group: Any) -> dict[str, int]:
    metric = GenerativeMetrics([FID()], extractor=None, num_features=2048, process_group=group)
    generator = torch.Generator().manual_seed(Comm(group).rank)
    for role in (True, False):
        metric.update(torch.randn(4, 2048, generator=generator), real=role)
    comm = Comm(group)
    with Payload() as payload, LiveBytes() as live:
        sides = metric._sides(comm)[0].values()
    assert [side.num_samples for side in sides] == [4 * comm.world_size] * 2
    metric.freeze_real()
    with Payload() as frozen:
        metric._held(metric._states, "real", comm)
    return {"payload": payload.total, "largest": payload.largest, "peak": live.peak, "frozen": frozen.total}


@pytest.mark.parametrize("world_size", [2, 4])
def test_two_roles_of_moments_move_half_a_matrix_each(ranks: Ranks, world_size: int) -> None:
    for spent in ranks.run(world_size, reduced_moments):
        assert spent["payload"] <= 34 * MIB
        assert spent["largest"] <= 8 * MIB
        assert spent["peak"] <= 128 * MIB
        assert spent["frozen"] == 0


ROWS, WIDTH = 4000, 512


def swept(group: Any) -> dict[str, int]:
    comm, bank = Comm(group), Bank(WIDTH)
    generator, mine = torch.Generator().manual_seed(comm.rank), ROWS // comm.world_size
    index = torch.arange(mine) + comm.rank * mine
    states = {
        role: {"rows": torch.randn(mine, WIDTH, generator=generator), "index": index} for role in ("real", "fake")
    }
    sides = {role: Side(role, ROWS, {bank: state}, comm) for role, state in states.items()}
    spec = Spec(WIDTH)
    wanted = [reduction for measure in (KID(subsets=None), PRDC()) for reduction in measure.reductions(spec)]
    with LiveBytes() as live:
        reduce_pairs(bank, wanted, sides, comm, PairCache(), Tiling(128))
    return {"peak": live.peak, "shard": states["real"]["rows"].nbytes}


def test_banks_stay_sharded(ranks: Ranks) -> None:
    tiles = 12 * MIB
    for spent in ranks.run(4, swept):
        assert spent["peak"] <= 2 * spent["shard"] + tiles
