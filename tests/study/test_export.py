"""An export tells nothing, and answers that come back are checked before they are believed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from browser_study import browser_store
from small_study import PLAN, TRIALS, small_store

from streaming_metrics.study import answers, export

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = [{"number": n, "answer": a, "when": "2026-01-01T00:00:00Z"} for n, a in enumerate((1, 4, 0, 7))]
FILE = {
    "format": "streaming-metrics-answers",
    "version": 1,
    "study": PLAN.study,
    "slot": 1,
    "rater": "9f" * 16,
    "answers": GIVEN,
}


@pytest.fixture(autouse=True)
def four_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (answers, export):
        monkeypatch.setattr(module, "trials", lambda plan, slot: TRIALS)  # noqa: ARG005


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "answers.json"
    path.write_text(json.dumps({**FILE, **changes}))
    return path


def test_a_file_of_answers_is_joined_to_what_was_shown(tmp_path: Path) -> None:
    judged = answers.judgements_of(written(tmp_path), PLAN)
    assert [(row.answer, row.items, row.truth, row.expected) for row in judged] == [
        (float(given["answer"]), trial.ids, trial.truth, trial.expected) for given, trial in zip(GIVEN, TRIALS)
    ]
    assert {row.study for row in judged} == {PLAN.study}
    assert len(answers.judgements_of(written(tmp_path, answers=GIVEN[:2]), PLAN)) == 2


def changed(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [{**given, **changes} if given["number"] == number else given for given in GIVEN]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "x"}, "expected answers of format"),
        ({"version": 2}, "expected answers of format"),
        ({"study": "other-00000000"}, "expected answers of small-.*, got those of other-0"),
        ({"slot": -1}, "slot: a number from 0, got -1"),
        ({"slot": True}, "slot: a number"),
        ({"slot": 10**9}, "slot: a number"),
        ({"rater": "Jane Doe"}, "rater: a random code"),
        ({"rater": 5}, "rater: a random code"),
        ({"answers": {}}, "expected study and answers"),
        ({"answers": [*GIVEN, {**GIVEN[0], "number": 4}]}, "expected 4 answers at most, got more"),
        ({"answers": GIVEN[1:]}, "expected the answer to trial 0"),
        ({"answers": [GIVEN[0], GIVEN[0]]}, "expected the answer to trial 1"),
        ({"answers": changed(1, answer=6)}, "the answer to trial 1 among 1, 2, 3, 4, 5, got 6"),
        ({"answers": changed(2, answer=True)}, "the answer to trial 2 among 0, 1, got True"),
        ({"answers": changed(1, answer="4")}, "got '4'"),
        ({"answers": changed(1, answer=[4])}, "the answer to trial 1"),
        ({"answers": changed(1, reaction_ms=-1)}, "reaction_ms of trial 1"),
        ({"answers": changed(1, shown_ms=float("nan"))}, "shown_ms of trial 1"),
        ({"answers": changed(1, reaction_ms=10**400)}, "reaction_ms of trial 1"),
        ({"answers": changed(1, when=None)}, "when trial 1 was answered"),
        ({"answers": changed(1, when="\ud800")}, "when trial 1 was answered"),
        ({"answers": changed(1, when="=HYPERLINK(1)")}, "when trial 1 was answered"),
        ({"answers": [5]}, "expected the answer to trial 0"),
    ],
    ids=str,
)
def test_other_files_are_refused_with_a_remedy(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"answers.json: .*{message}.*Remedy: "):
        answers.judgements_of(written(tmp_path, **changes), PLAN)


def test_damaged_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    text = path.read_text()
    for damaged in (text[:-20], "", "[" * 100_000, "[]", "7"):
        path.write_text(damaged)
        with pytest.raises(ValueError, match=r"answers.json: expected "):
            answers.judgements_of(path, PLAN)
    path.write_text(text)
    monkeypatch.setattr(answers, "LARGEST", 10)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        answers.judgements_of(path, PLAN)


def test_an_export_tells_nothing_of_conditions_truth_or_checks(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with browser_store(tmp_path) as store:
        export.export(PLAN, store, folder, raters=3)
        items = sorted(file.read_bytes() for file in folder.glob("items/*"))
        shown = {number for trial in TRIALS for number in trial.items}
        assert len({file.stat().st_mtime_ns for file in folder.glob("items/*")}) == 1
        assert items == sorted(item.data for number in shown if (item := store.item(number)))
    text = folder.joinpath("study.js").read_text()
    told = json.loads(text.removeprefix("window.STUDY = ").removesuffix(";\n"))
    assert "secret" not in text
    assert len(told["orders"]) == 3
    known = {"number", "kind", "task", "items", "prompt", "scale", "ties", "exposure_ms"}
    assert all(set(trial) == known for order in told["orders"] for trial in order)
    assert all(
        re.fullmatch(r"items/[0-9a-f]{16}\.png", item) for order in told["orders"] for t in order for item in t["items"]
    )
    assert set(told["words"]) == {"en", "ko"}
    assert told["words"]["en"].keys() == told["words"]["ko"].keys()


def test_an_export_writes_over_nothing_and_posts_to_urls_alone(tmp_path: Path) -> None:
    with small_store(tmp_path) as store:
        with pytest.raises(ValueError, match="expected a URL of http or https, got 'ftp://x'"):
            export.export(PLAN, store, tmp_path / "out", raters=1, post_to="ftp://x")
        assert not (tmp_path / "out").exists()
        with pytest.raises(FileExistsError, match="expected an empty folder"):
            export.export(PLAN, store, tmp_path, raters=1)
