"""Errors told as errors: in files of scores, on the page, in charts, in the list of measures; and as no difference."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streaming_metrics.cli.facts import differences, facts
from streaming_metrics.cli.results import Origin, Result
from streaming_metrics.measures.catalogue import entries
from streaming_metrics.plots import curves
from streaming_metrics.report.history import History
from streaming_metrics.report.page import rendered
from streaming_metrics.verdicts.intervals import share_error

if TYPE_CHECKING:
    from pathlib import Path

SCORES = {"kid": 0.02, "kid_std": 0.004, "kid_se": 0.001, "precision": 1.0, "precision_se": share_error(1, 100)}
LINE = "fid+kid(subset_size=50{})|ext:inception-v3-6726825d|resize:clean-299|real:50000|fake:10000|fp32|v0.1.0"


def test_a_file_of_scores_has_each_error_with_its_interval(tmp_path: Path) -> None:
    result = Result(SCORES, LINE.format(""), Origin("real", 9), Origin("fake", 8))
    result.save(tmp_path / "scores.json")
    errors = json.loads((tmp_path / "scores.json").read_text())["errors"]
    assert errors.keys() == {"kid", "precision"}
    assert errors["kid"] == {
        "error": 0.001,
        "low": pytest.approx(0.02 - 0.00196, rel=1e-4),
        "high": pytest.approx(0.02 + 0.00196, rel=1e-4),
        "about": "the distance, both sides random",
    }
    assert (errors["precision"]["low"], errors["precision"]["high"]) == pytest.approx((0.963, 1.0), abs=1e-3)
    assert Result.load(tmp_path / "scores.json") == result


def test_scores_without_errors_are_written_as_ever() -> None:
    result = Result({"kid": 0.02, "kid_std": 0.004}, LINE.format(""), Origin("real", 9), Origin("fake", 8))
    assert "errors" not in json.loads(result.to_json())


@pytest.mark.parametrize("asked", ["se=True", "se=True,cluster=4"])
def test_errors_alone_are_no_difference_of_scores(asked: str) -> None:
    plain, told = (facts(LINE.format(text)) for text in ("", f",{asked}"))
    assert [(one.what, one.matters) for one in differences(plain, told)] == [("kid", False)]
    other = facts(LINE.format(f",gamma=2.0,{asked}"))
    assert [(one.what, one.matters) for one in differences(plain, other)] == [("kid", True)]


def test_the_page_says_of_what_an_interval_is_one() -> None:
    history = History("val")
    history.epochs, history.steps, history.rows = [0], [None], [SCORES]
    page = rendered([history], "A run")
    assert "± 0.00100" in page
    assert "± 0.00400" not in page
    assert "95 %: 0.0180 to 0.0220, the distance, both sides random" in page
    assert "95 %: 0.963 to 1.00, value at this N, given the reference" in page


def test_a_chart_shades_the_interval_of_an_error_and_else_the_deviation() -> None:
    both, without = SCORES, {"kid": 0.02, "kid_std": 0.004}
    for row, half in ((both, 0.00196), (without, 0.004)):
        only = {key: value for key, value in row.items() if key.startswith("kid")}
        [shade] = curves([only, only]).collections
        heights = np.asarray(shade.get_paths()[0].vertices)[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((0.02 - half, 0.02 + half), rel=1e-4)


def test_the_list_of_measures_says_which_have_an_error() -> None:
    told = {entry.label: entry.error for entry in entries()}
    assert {label for label, how in told.items() if how == "always"} == {"parzen", "score"}
    assert {label for label, how in told.items() if not how} == {
        *("birthday", "c2st", "ct", "fid_inf", "fwd", "geometry_score", "intra_fid", "mifid", "mind", "modified_is"),
        *("nnaa", "rfid", "sfid", "sliced_wasserstein", "topp_r", "wasserstein_critic"),
    }
    [kid] = [entry for entry in entries() if entry.label == "kid"]
    assert kid.facts.as_json()["error"] == {"by": "se=True", "about": "the distance, both sides random"}
