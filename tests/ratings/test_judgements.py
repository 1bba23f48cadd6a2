"""Judgements: what is refused, what merges, and that files give back what was written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.ratings.judgements import Judgements

if TYPE_CHECKING:
    from pathlib import Path

ONE = Judgement("digits-1a2b3c4d", "opinion", "opinion", "9f", 0, ("a/0",), ("a",), 4.0, "2026-01-01T00:00:00+00:00")
PAIR = replace(
    ONE, task="preference", kind="preference", trial=1, items=("a/0", "b/0"), conditions=("a", "b"), answer=0.5
)
SEEN = replace(ONE, kind="categorisation", trial=2, answer=1.0, truth=0.0, exposure_ms=100.0, shown_ms=100.02)
CHECK = replace(ONE, trial=3, expected=1.0, answer=2, prompt='a "red" cube,\nа́ 빨간', category="Colors")
ALL = Judgements([ONE, PAIR, SEEN, CHECK])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"answer": 6.0}, ValueError, "expected 1 to 5, got 6.0"),
        ({"answer": float("nan")}, ValueError, "expected 1 to 5"),
        ({"answer": True}, TypeError, "expected int or float, got True"),
        ({"kind": "ranking"}, ValueError, "expected one of preference"),
        ({"items": ("a/0", "b/0")}, ValueError, "expected 1 of each for opinion"),
        ({"items": ["a/0"]}, TypeError, "expected tuple"),
        ({"trial": -1}, ValueError, "expected at least 0"),
        ({"reaction_ms": float("inf")}, ValueError, "reaction_ms: expected a finite number"),
    ],
)
def test_what_is_no_judgement_is_refused(change: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        replace(ONE, **change)


@pytest.mark.parametrize("answer", [0.3, 2])
def test_a_preference_is_one_half_or_none(answer: float) -> None:
    with pytest.raises(ValueError, match=r"expected 1, 0\.5 or 0"):
        replace(PAIR, answer=answer)


def test_equal_rows_count_once_and_others_of_one_trial_are_refused() -> None:
    assert ALL.merge(Judgements([ONE, CHECK])) == ALL
    with pytest.raises(ValueError, match="rater 9f in trial 0, got two that differ"):
        ALL.merge(Judgements([replace(ONE, answer=1.0)]))
    with pytest.raises(ValueError, match="one study, got digits-1a2b3c4d, other-1a2b3c4d"):
        ALL.merge(Judgements([replace(ONE, study="other-1a2b3c4d")]))


def test_where_and_columns() -> None:
    assert [len(ALL.where(checks=checks)) for checks in (None, True, False)] == [4, 1, 3]
    assert [*ALL.where(condition="b")] == [PAIR]
    assert [*ALL.where(category="Colors", checks=True)] == [CHECK]
    assert ALL.column("answer").tolist() == [4.0, 0.5, 1.0, 2.0]
    assert ALL.column("conditions")[1] == ("a", "b")
    with pytest.raises(ValueError, match="got 'colour'"):
        ALL.column("colour")


@pytest.mark.parametrize("name", ["j.jsonl", "j.json", "j.csv"])
def test_a_file_gives_back_what_was_written(tmp_path: Path, name: str) -> None:
    ALL.write(tmp_path / name)
    assert Judgements.read(tmp_path / name) == ALL


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("j.jsonl", '\n{"study": "x"', "line 2"),
        ("j.jsonl", "[1]\n", "line 1, expected|line 1: expected"),
        ("j.json", '[{"study": "x", "colour": 1}]', "row 1.*unknown colour"),
        ("j.csv", "study,task\nx,y\n", "line 2"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"(?s){said}"):
        Judgements.read(tmp_path / name)


def test_the_unit_is_the_prompt_or_the_number_whichever_side_items_are_on() -> None:
    swapped = replace(PAIR, items=("b/0", "a/0"), conditions=("b", "a"))
    assert PAIR.unit == swapped.unit == "0"
    other = replace(swapped, items=("b/1", "a/0"))
    assert other.unit == "a/0 b/1"
    assert replace(PAIR, prompt="a cube").unit == "a cube"
    assert (replace(PAIR, answer=1.0).side_of("a"), replace(PAIR, answer=1.0).side_of("b")) == (1, 0)
