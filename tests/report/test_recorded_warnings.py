"""Warnings that are given on are shown as often as they would be without."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from streaming_metrics.report.recorded_warnings import recorded_warnings


@pytest.mark.parametrize(("action", "times"), [("default", 1), ("once", 1), ("always", 3), ("ignore", 0)])
def test_a_warning_is_kept_each_time_and_shown_as_the_filters_say(action: Any, times: int) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter(action)
        for _ in range(3):
            with recorded_warnings(give_on=True) as said:
                warnings.warn(f"Few samples, {action}.", stacklevel=1)
            assert said == [f"Few samples, {action}."]
    assert len(shown) == times


def test_other_filters_begin_anew() -> None:
    for action in ("default", "always", "default"):
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter(action)
            with recorded_warnings(give_on=True):
                warnings.warn("Few samples, anew.", stacklevel=1)
        assert len(shown) == 1
