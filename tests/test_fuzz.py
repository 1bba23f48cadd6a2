"""Whatever is given, a documented error or none, and no trace of it: the short form of benchmarks/fuzz.py."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import fuzz


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_only_documented_errors_and_no_trace_of_them(seed: int) -> None:
    fuzzer = fuzz.fuzz(100, seed)
    assert fuzzer.faults == []
    assert {outcome for _, outcome in fuzzer.outcomes} >= {"taken", "ValueError", "TypeError"}
