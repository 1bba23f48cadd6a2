"""Ctrl-C at any line that writes leaves a metric that binds, or is bound, as it was, as it will be, or torn."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from binding_cases import add, batch, build, follow
from test_torn import WRITING, outcomes

from streaming_metrics import PRDC, GenerativeMetrics
from streaming_metrics.measures.authenticity import AuthPct

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

BANKED, BOUND = "r0 t0 f0", "r0 t0 R T f0"
AMONG = WRITING | {"fix", "_fix"}


def made(steps: str) -> GenerativeMetrics:
    metric = follow(build([PRDC(k=2, recall=False), AuthPct()]), steps)
    metric.persistent(True)
    return metric


@cache
def saved(steps: str) -> dict[str, Any]:
    return made(steps).state_dict()


ACTS: dict[str, tuple[str, Callable[[GenerativeMetrics], Any]]] = {
    "freeze": (BANKED, lambda metric: metric.freeze("real")),
    "freeze another": ("r0 t0 f0 R", lambda metric: metric.freeze("train")),
    "load": (BANKED, lambda metric: metric.load_state_dict(saved("r1 t1 f2 R T"))),
    "load over a bound one": (BOUND, lambda metric: metric.load_state_dict(saved("r1 t1 f2 R T"))),
    "update": (BOUND, lambda metric: add(metric, "fake", 3)),
    "forward": (BOUND, lambda metric: metric(batch("fake", 3), role="fake")),
    "merge": (BOUND, lambda metric: metric.merge_state(saved("r0 t0 R T f5"))),
    "reset": (BOUND, lambda metric: metric.reset()),
}


@pytest.mark.parametrize("act", ACTS)
def test_ctrl_c_leaves_all_none_or_torn(act: str) -> None:
    steps, run = ACTS[act]
    run(made(steps))  # so that what is made once is not interrupted
    found = outcomes(lambda: made(steps), run, AMONG)
    assert {"before", "torn", "after"} >= set(found) >= {"torn", "after"}
