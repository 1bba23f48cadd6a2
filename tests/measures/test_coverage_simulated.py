"""Intervals of measures by simulation: they hold what they say they hold, about as often as they say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from harness.coverage_measures import cases, covered

HELD = ["KID, all samples, apart", "IS, one split", "mode score, jackknife", "balls, real fixed", "Vendi, q = 1"]


@pytest.mark.slow
@pytest.mark.parametrize("name", HELD)
def test_an_interval_holds_the_mean_about_as_often_as_it_says(name: str) -> None:
    [case] = [case for case in cases() if case.name == name]
    for found in covered(case, draws=100):
        assert found.share > 0.86, found  # 4 Monte-Carlo deviations below 0.95
        assert 0.8 < found.ratio < 1.4, found
