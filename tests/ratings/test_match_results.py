"""Results of matches: plain values that JSON has, and a signature of the counts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from streaming_metrics.ratings.match_results import match_results
from streaming_metrics.ratings.matches import Matches
from streaming_metrics.ratings.nrds import nrds
from streaming_metrics.ratings.tournament import online_skills, skills, win_rates


def table(order: int = 1) -> Matches:
    matches = Matches()
    for step in (0, 5)[::order]:
        for name, score in (("a", 0.6), ("b", 0.3))[::order]:
            matches.update(name, "d", [score, 0.9, 0.1 + step / 50], step=step)
    matches.update("", "d", [0.9, 0.3], real=True)
    return matches


def test_they_are_what_the_functions_say() -> None:
    found = json.loads(json.dumps(match_results(table(), online=True), allow_nan=False))
    rates, skill, online = win_rates(table()), skills(table(), 3.0), online_skills(table())
    for row in found["generators"]:
        name = row["name"]
        assert row["win_rate"]["value"] == rates[name].value
        assert (row["skill"]["low"], row["skill"]["high"]) == (skill.generators[name].low, skill.generators[name].high)
        assert row["rating"]["mu"] == online[name].mu
    assert found["discriminators"][0]["correct_on_real"] == 0.5
    assert found["nrds"] == nrds(table())
    assert found["prior"] == 3.0


def test_the_signature_is_of_the_counts_in_any_order() -> None:
    one, other = match_results(table())["signature"], match_results(table(-1))["signature"]
    assert one == other
    assert one.endswith("|generators:2|discriminators:1|scores:14|prior:3")
    more = table()
    more.update("a", "d", [0.2])
    assert match_results(more)["signature"].split("|")[0] != one.split("|")[0]


def test_what_cannot_be_told_is_none_or_refused() -> None:
    lost = Matches()
    lost.update("a", "d", [0.1, 0.2])
    found = match_results(lost)
    assert found["dispersion"] is found["nrds"] is found["discriminators"][0]["correct_on_real"] is None
    with pytest.raises(ValueError, match=r"Remedy: .*prior=3\.0"):
        match_results(lost, prior=None)


def test_ratings_need_neither_torch_nor_openskill_to_be_imported() -> None:
    rooms = "match_results, match_files, gam, bradley_terry, online"
    code = (
        f"import sys; from streaming_metrics.ratings import {rooms}; print({{'torch', 'openskill'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
