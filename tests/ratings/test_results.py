"""Results of a study: what they hold, that they are plain, and what is said where little is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.opinion import mean_opinions
from streaming_metrics.ratings.results import StudyFacts, results
from streaming_metrics.ratings.results_beside import beside_results
from streaming_metrics.ratings.results_file import as_json, condition_named, read_results, told_of, write_results
from streaming_metrics.ratings.simulated import SimulatedRaters
from streaming_metrics.ratings.study_signature import StudySignature

if TYPE_CHECKING:
    from pathlib import Path

QUALITIES = {"epoch-01": -1.4, "epoch-03": -0.4, "epoch-06": 0.2, "epoch-11": 0.6}
FACTS = StudyFacts(tuple(QUALITIES), ("preference", "opinion", "categorisation"), "0123abcd", "9f8e7d6c", True)


def judged() -> Judgements:
    """Return judgements of three tasks, by raters of whom two do not look."""
    raters, prompts = SimulatedRaters(14, inattentive=2, seed=0), {"checks": 3, "categories": ("Colors", "Text")}
    parts = (
        raters.judge("preference", QUALITIES, ties=True, **prompts),
        raters.judge("opinion", QUALITIES, **prompts),
        raters.judge(
            "categorisation", {**QUALITIES, "real": 1.0}, real="real", exposures_ms=[50, 250], per_rater=40, checks=3
        ),
    )
    return Judgements(replace(row, trial=row.trial + 1000 * k) for k, part in enumerate(parts) for row in part)


ALL = judged()
FOUND = results(ALL, FACTS, half_width=0.1)


def task(name: str, found: dict[str, Any] = FOUND) -> dict[str, Any]:
    return next(one for one in found["tasks"] if one["name"] == name)


def test_everything_is_plain_and_nothing_is_nan() -> None:
    assert json.loads(as_json(FOUND)) == FOUND  # allow_nan=False raises for NaN


def test_the_signature_says_of_what_it_is_and_parses_back() -> None:
    signature = StudySignature.parse(FOUND["signature"])
    assert (signature.tasks, signature.prompts, signature.items) == (FACTS.tasks, "0123abcd", "9f8e7d6c")
    assert (signature.raters, signature.judgements, signature.simulated) == (14, 14 * 80, True)
    assert str(signature) == FOUND["signature"]
    assert FOUND["raters_are"] == "simulated"
    assert not StudySignature.parse(results(ALL, replace(FACTS, simulated=False))["signature"]).simulated
    with pytest.raises(ValueError, match="Remedy"):
        StudySignature.parse("fid|ext:x")


def test_attention_checks_count_in_raters_alone() -> None:
    assert (FOUND["judgements"], FOUND["checks"]) == (14 * 80, 14 * 9)
    assert all("noise" not in one["conditions"] for one in FOUND["tasks"])
    assert {one["checks"] for one in FOUND["raters"]} == {9}
    without_checks = results(ALL.where(checks=False), FACTS, half_width=0.1)
    assert without_checks["tasks"] == FOUND["tasks"]


def test_a_task_holds_what_its_kind_says() -> None:
    opinion, preference, seen = (task(name) for name in ("opinion", "preference", "categorisation"))
    assert [one["condition"] for one in opinion["scores"]] == [*QUALITIES]
    direct = mean_opinions(ALL.where(task="opinion"))["epoch-03"]
    assert opinion["scores"][1]["mean"]["value"] == direct.value
    assert opinion["scores"][1]["normalised"]["half_width"] < opinion["scores"][1]["mean"]["half_width"]
    strengths = [one["strength"]["value"] for one in preference["strengths"]["conditions"]]
    assert strengths == sorted(strengths)
    assert sum(strengths) == pytest.approx(0, abs=1e-9)
    assert preference["strengths"]["model"] == "Davidson"
    assert {one["condition"] for one in preference["online"]} == {*QUALITIES}
    assert [(one["condition"], one["exposure_ms"]) for one in seen["scores"]][:2] == [
        ("epoch-01", 50),
        ("epoch-01", 250),
    ]
    assert seen["scores"][1]["hits"] + seen["scores"][1]["misses"] > 0
    assert 0 < opinion["agreement"]["alpha"]["value"] < 1


def test_images_that_lasted_wrong_are_counted() -> None:
    late = Judgements(
        replace(row, shown_ms=(row.exposure_ms or 0) + 40.0) if row.rater == "simulated-000" else row
        for row in ALL.where(task="categorisation", checks=False)
    )
    found = task("categorisation", results(late, FACTS))
    assert found["lasted_wrong"] == 40
    assert "40 of 560 images were on the screen" in found["notes"][0]
    assert task("categorisation")["lasted_wrong"] == 0
    left = results(late, FACTS, without_mistimed=True)
    assert (left["judgements"], task("categorisation", left)["lasted_wrong"]) == (520, 0)
    assert "40 judgements were left out" in left["notes"][0]
    with pytest.raises(ValueError, match="all 40 were not"):
        results(Judgements(row for row in late if row.rater == "simulated-000"), FACTS, without_mistimed=True)


def test_all_pairs_are_contrasted_and_holm_never_makes_p_smaller() -> None:
    for one in FOUND["tasks"]:
        assert len(one["contrasts"]) == 6
        assert all(pair["p_holm"] >= pair["p"] for pair in one["contrasts"])
        assert all("real" not in (pair["first"], pair["second"]) for pair in one["contrasts"])


def test_groups_of_prompts_have_scores_of_their_own() -> None:
    groups = task("opinion")["groups"]["category"]
    assert [one["name"] for one in groups] == ["Colors", "Text"]
    assert sum(one["judgements"] for one in groups) == task("opinion")["judgements"]
    assert "category" not in task("categorisation")["groups"]


def test_raters_without_flags_alone_and_how_many_were_left_out() -> None:
    flagged = [one["rater"] for one in FOUND["raters"] if one["flags"]]
    found = results(ALL, FACTS, without_flagged=True)
    assert {"simulated-012", "simulated-013"} <= {*flagged}
    assert found["left_out"] == {"raters": flagged, "judgements": 80 * len(flagged)}
    assert found["raters_counted"] == 14 - len(flagged)
    assert len(found["raters"]) == 14
    assert f"{len(flagged)} flagged raters were left out" in found["notes"][0]


@pytest.mark.parametrize("raters", [2, 3])
def test_no_interval_reaches_beyond_what_can_be(raters: int) -> None:
    some = [f"simulated-{number:03d}" for number in range(raters)]
    found = results(Judgements([row for row in ALL if row.rater in some]), FACTS)
    ends = {"preference": (0, 1, 0.5), "opinion": (1, 5, 4), "categorisation": (0, 1, 1)}
    for one in found["tasks"]:
        least, most, apart = ends[one["kind"]]
        scores = [score[name] for score in one["scores"] for name in ("share", "mean", "accuracy") if name in score]
        scores += [score["score"] for groups in one["groups"].values() for group in groups for score in group["scores"]]
        known = [score for score in scores if score and score["low"] is not None]
        assert known
        assert all(least <= score["low"] <= score["high"] <= most for score in known)
        pairs = [pair["difference"] for pair in one["contrasts"] if pair["difference"]]
        assert all(-apart <= pair["low"] <= pair["high"] <= apart for pair in pairs if pair["low"] is not None)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_judgements_are_no_error_and_leave_null(count: int) -> None:
    for name in FACTS.tasks:
        found = results(Judgements([*ALL.where(task=name, checks=False)][:count]), FACTS, half_width=0.1)
        assert json.loads(as_json(found))["judgements"] == count
        assert all(one["p"] is None or 0 <= one["p"] <= 1 for one in found["tasks"][0]["contrasts"])


def test_no_judgement_is_told_with_a_remedy() -> None:
    for rows in (Judgements(), ALL.where(checks=True)):
        with pytest.raises(ValueError, match=r"got none( but \d+ attention checks)?\. Remedy"):
            results(rows)


def test_strengths_that_would_be_infinite_get_a_prior_that_is_named() -> None:
    won = Judgements(
        replace(row, answer=float(row.conditions[0] == "epoch-11")) if "epoch-11" in row.conditions else row
        for row in ALL.where(task="preference", checks=False)
    )
    strengths = task("preference", results(won, FACTS))["strengths"]
    assert strengths["prior"] == 3.0
    assert "a Gaussian prior of 3 log-odds" in strengths["notes"][0]
    assert task("preference")["strengths"]["prior"] is None


def test_a_file_is_read_back_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, FOUND)
    assert read_results(path) == FOUND
    for text, said in (("{", "as JSON"), ('{"kind": "x"}', "got 'x'"), ("[]", "got 'list'")):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            read_results(path)
    path.write_text(json.dumps({**FOUND, "version": 2}))
    with pytest.raises(ValueError, match="expected version 1"):
        read_results(path)
    path.write_text(json.dumps({key: FOUND[key] for key in ("format", "version", "study")}))
    with pytest.raises(ValueError, match="without signature, tasks"):
        read_results(path)


def test_a_source_names_a_condition_and_its_scores() -> None:
    assert condition_named(FOUND, "runs/epoch-03.zip") == condition_named(FOUND, "epoch-03/") == "epoch-03"
    assert condition_named(FOUND, "runs/epoch-04") is None
    told = told_of(FOUND, "epoch-03")
    assert [one.task for one in told] == ["preference", "opinion", "categorisation", "categorisation"]
    assert told[1].score == "mean opinion"
    assert told[2].score == "share taken for real, 50 ms"


def test_measures_beside_are_turned_upward_and_few_checkpoints_have_no_interval() -> None:
    falling = {name: 100.0 - place for place, name in enumerate(QUALITIES)}
    two = {"epoch-01": 1.0, "epoch-11": 2.0}
    found = beside_results(FOUND, {"fid": falling, "is": two}, {"fid": "↓", "is": "↑"})
    assert [one["task"] for one in found] == [*FACTS.tasks]
    fid, few = found[1]["measures"]
    assert fid["spearman"]["value"] == fid["kendall"]["value"] == 1
    assert fid["spearman"]["low"] < 0.5
    assert fid["points"][0]["measured"] == 100.0
    assert (few["checkpoints"], few["spearman"]["low"]) == (2, None)
    assert "too few" in few["note"]
