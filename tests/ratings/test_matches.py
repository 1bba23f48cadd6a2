"""Matches of generators and discriminators: counts that add up, and files of scores or counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_metrics.ratings import match_files
from streaming_metrics.ratings.match_files import read_matches, write_matches
from streaming_metrics.ratings.matches import Judged, Matches, Meeting

if TYPE_CHECKING:
    from pathlib import Path

ROWS = st.lists(
    st.tuples(st.sampled_from(["", "g1", "g2"]), st.sampled_from(["d1", "d2"]), st.integers(0, 2), st.floats(0, 1)),
    max_size=20,
)


def table(rows: list[tuple[str, str, int, float]]) -> Matches:
    matches = Matches()
    for generator, discriminator, step, score in rows:
        matches.update(generator, discriminator, [score], real=not generator, step=step)
    return matches


def rounded(matches: Matches) -> dict[Meeting, Judged]:
    return {meeting: judged._replace(score=round(judged.score, 9)) for meeting, judged in matches}


@given(ROWS, st.integers(0, 20))
def test_tables_of_shards_add_up(rows: list[tuple[str, str, int, float]], cut: int) -> None:
    whole, one, other = table(rows), table(rows[:cut]), table(rows[cut:])
    assert rounded(whole) == rounded(one + other) == rounded(other + one)
    assert Matches() + whole == whole == whole + Matches()


def test_half_fools_and_half_is_no_right_judgement() -> None:
    matches = Matches()
    matches.update("g", "d", [0.5, 0.49, 0.51])
    matches.update("", "d", [0.5, 0.49, 0.51], real=True)
    assert matches.of("g", "d").called_real == 2
    assert matches.real("d").called_real == 1


def test_log_odds_are_probabilities() -> None:
    of_odds, of_chances = Matches(logits=True), Matches()
    odds = np.array([-1000.0, -0.1, 0.0, 2.0, 1000.0])
    of_odds.update("g", "d", odds)
    of_chances.update("g", "d", [0.0, 1 / (1 + np.exp(0.1)), 0.5, 1 / (1 + np.exp(-2)), 1.0])
    assert of_odds.of("g", "d") == pytest.approx(of_chances.of("g", "d"))


@pytest.mark.parametrize("score", [1.5, -0.1, float("nan"), float("inf")])
def test_what_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match=r"'g' by 'd': expected probabilities in \[0, 1\], got .*logits=True"):
        Matches().update("g", "d", [0.5, score])
    with pytest.raises(ValueError, match="expected a name of the discriminator"):
        Matches().update("", "d", [0.5])
    with pytest.raises(ValueError, match="expected a name of the discriminator"):
        Matches().update("g", "", [0.5])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@given(rows=ROWS.filter(bool))
def test_a_table_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list) -> None:
    path = tmp_path_factory.mktemp("matches") / f"table{suffix}"
    write_matches(table(rows), path)
    assert read_matches(path) == table(rows)


SCORES = [("g1", "d", 0, 0.75, 3), ("g1", "d", 0, 0.25, 3), ("", "d", 1, 0.5, 3), ("g2", "d", 0, 1.0, 4)] * 5


def test_scores_are_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_csv, as_lines = tmp_path / "scores.csv", tmp_path / "scores.jsonl"
    names = ("generator", "discriminator", "is_real", "score", "step")
    as_csv.write_text("\n".join(",".join(map(str, row)) for row in [names, *SCORES]) + "\n")
    as_lines.write_text("".join(json.dumps(dict(zip(names, row))) + "\n\n" for row in SCORES))
    whole = read_matches(as_csv)
    assert dict(whole) == {
        ("g1", "d", 3): Judged(10, 5, 5.0),
        ("", "d", 3): Judged(5, 0, 2.5),
        ("g2", "d", 4): Judged(5, 5, 5.0),
    }
    monkeypatch.setattr(match_files, "CHUNK", 3)
    assert read_matches(as_csv) == read_matches(as_lines) == whole


HEAD = "generator,discriminator,is_real,score\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "g,d,0,0.5\ng,d,maybe,0.5\n", "number 2"),
        (HEAD + "g,d,0,high\n", "number 1"),
        (HEAD + "g,d,0,0.5\ng,d\n", "number 2"),
        ("generator,discriminator,score\ng,d,0.5\n", "'is_real'"),
        (HEAD + "g,d,0,1.5\n", r"expected probabilities in \[0, 1\]"),
        ("generator,discriminator,is_real,samples,called_real,score_sum\ng,d,0,2,3,1\n", "0 ≤ called_real ≤ samples"),
        (HEAD, "expected matches, got none"),
        ("", "expected matches, got none"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        read_matches(path)
    assert str(path) in str(error.value)
    assert "Remedy: " in str(error.value)


def test_so_is_another_kind_and_a_line_that_is_cut(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a file of matches, \.csv or \.jsonl"):
        read_matches(tmp_path / "scores.txt")
    with pytest.raises(ValueError, match=r"expected a file of matches, \.csv or \.jsonl"):
        write_matches(Matches(), tmp_path / "scores.json")
    path = tmp_path / "scores.jsonl"
    path.write_text('{"generator": "g", "discriminator": "d", "is_real": false, "score": 0.5}\n{"generator": "g", "dis')
    with pytest.raises(ValueError, match="number 2"):
        read_matches(path)
