"""No update of a statistic waits for the device that features are on, but for those named here, each for a reason."""

from __future__ import annotations

import pytest
from conftest import STATISTICS, draw_features, name_of
from host_reads import HostReads, answer_late

from streaming_metrics.deferred import collecting
from streaming_metrics.statistics import (
    Authentic,
    BinCounts,
    CellDistances,
    ClippedCounts,
    CosineDistances,
    Count,
    KernelDensities,
    ModeSums,
    NearestPoints,
    Neighbours,
    PacketMoments,
    Retrieved,
    Statistic,
)
from streaming_metrics.statistics.blocks import Blocks
from streaming_metrics.statistics.supported import Supported

CLOSE = "pairs too close for float32 to tell are compared in float64, and how many there are decides a shape"
WAITS: dict[type[Statistic], str] = {
    Neighbours: CLOSE,
    ClippedCounts: CLOSE,
    CosineDistances: CLOSE,
    CellDistances: CLOSE,
    BinCounts: CLOSE,
    ModeSums: CLOSE,
    Authentic: CLOSE,
    Retrieved: CLOSE,
    KernelDensities: CLOSE,
    NearestPoints: CLOSE,
    Supported: CLOSE,
    PacketMoments: "the first images decide how wide a packet is",
    Blocks: "samples are dealt to blocks, and how many each gets decides shapes",
}


def waits_for_none(statistic: Statistic) -> bool:
    kind = next((kind for kind in WAITS if isinstance(statistic, kind)), None)
    return kind is None or bool(getattr(statistic, "is_labelled", False))


@pytest.mark.parametrize("statistic", STATISTICS, ids=name_of)
def test_an_update_waits_for_no_device_unless_it_is_said_why(
    statistic: Statistic, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = statistic.update(statistic.empty(), draw_features(2, n=17))
    answer_late(monkeypatch)
    with HostReads(spare_counts=isinstance(statistic, Count)) as reads, collecting([]):
        statistic.staged(state, draw_features(1))()
    assert (reads.asked == []) == waits_for_none(statistic), reads.asked
