"""A simulated population: what is known of it is found again, intervals cover, and who does not look is flagged."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import krippendorff
import numpy as np
import pytest
from scipy.stats import norm

from streaming_metrics.ratings.agreement import agreement
from streaming_metrics.ratings.categorisation import Detections, categorise, exposure_needed, lasted_wrong
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.opinion import mean_opinions
from streaming_metrics.ratings.preference import preference_share
from streaming_metrics.ratings.raters import rater_quality, without
from streaming_metrics.ratings.simulated import SimulatedRaters

QUALITIES = {"a": -1.0, "b": -0.3, "c": 0.2, "d": 0.8}
FLAT = {"leniency": 0.0, "side": 0.0, "criterion": 0.0}


def test_detections_are_the_closed_forms_and_add() -> None:
    found = Detections(30, 10, 12, 28)
    hit, alarm = 30.5 / 41, 12.5 / 41
    assert found.dprime == pytest.approx(norm.ppf(hit) - norm.ppf(alarm))
    assert found.bias == pytest.approx(-(norm.ppf(hit) + norm.ppf(alarm)) / 2)
    assert sum([Detections(10, 5, 12, 0), Detections(20, 5, 0, 28)], Detections()) == found
    assert np.isfinite(Detections(20, 0, 0, 20).dprime)
    assert isnan(Detections(20, 0).accuracy)


def test_the_order_of_conditions_is_found_again_by_every_kind() -> None:
    raters = SimulatedRaters(count=20, seed=1)
    means = mean_opinions(raters.judge("opinion", QUALITIES))
    assert sorted(means, key=lambda name: means[name].value) == [*QUALITIES]
    shares = raters.judge("preference", QUALITIES, ties=True)
    values = [preference_share(shares, name).value for name in QUALITIES]
    assert values == sorted(values)
    seen = categorise(raters.judge("categorisation", {**QUALITIES, "real": 1.0}, real="real", per_rater=80))
    fooled = {one.condition: one.fooled.value for one in seen}
    assert sorted(fooled, key=lambda name: fooled[name]) == [*QUALITIES]
    dprime = {one.condition: one.dprime.value for one in seen}
    assert sorted(dprime, key=lambda name: -dprime[name]) == [*QUALITIES]


def test_more_time_tells_more() -> None:
    raters = SimulatedRaters(count=20, seed=0)
    rows = raters.judge("categorisation", {"a": -1, "real": 1}, real="real", per_rater=90, exposures_ms=[20, 60, 300])
    found = categorise(rows)
    assert [one.exposure_ms for one in found] == [20, 60, 300]
    values = [one.dprime.value for one in found]
    assert values == sorted(values)
    assert 20 < (exposure_needed(found, sum(values[:2]) / 2) or 0) < 60
    assert exposure_needed(found, 99.0) is None
    late = Judgements([replace(rows[0], shown_ms=(rows[0].exposure_ms or 0) + 18), *[*rows][1:]])
    assert [row.trial for row in lasted_wrong(late)] == [rows[0].trial]


@pytest.mark.parametrize("quality", [0.0, pytest.param(0.8, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_the_interval_of_dprime_covers(quality: float) -> None:
    """Against d′ of a far larger population; 90 to 99 % of 200 (its own error is 1.5 %)."""
    conditions = {"a": -quality, "real": quality}
    options = {"real": "real", "unit_spread": 0.0}
    large = categorise(SimulatedRaters(2000, seed=9).judge("categorisation", conditions, per_rater=40, **options))
    truth, hits = large[0].dprime.value, 0
    for seed in range(200):
        [one] = categorise(SimulatedRaters(15, seed=seed).judge("categorisation", conditions, per_rater=24, **options))
        hits += one.dprime.low <= truth <= one.dprime.high
    assert 180 <= hits <= 199


@pytest.mark.slow
def test_the_interval_of_mean_opinions_covers() -> None:
    """Against the mean of a far larger population; 90 to 99 % of 200 (its own error is 1.5 %)."""
    large = SimulatedRaters(2000, seed=9).judge("opinion", {"a": 0.3}, per_rater=20, unit_spread=0.0)
    truth, hits = mean_opinions(large)["a"].value, 0
    for seed in range(200):
        rows = SimulatedRaters(15, seed=seed).judge("opinion", {"a": 0.3}, per_rater=15, unit_spread=0.0)
        one = mean_opinions(rows)["a"]
        hits += one.low <= truth <= one.high
    assert 180 <= hits <= 199


def test_agreement_is_the_packages_and_does_not_depend_on_sides() -> None:
    rows = SimulatedRaters(count=12, seed=0).judge("opinion", QUALITIES, units=4)
    items = sorted({row.items for row in rows})
    raters = sorted({row.rater for row in rows})
    table = np.full((len(raters), len(items)), np.nan)
    once = {(row.rater, row.items): row for row in rows}  # who saw an item twice counts once here
    for (rater, item), row in once.items():
        table[raters.index(rater), items.index(item)] = row.answer
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal")
    found = agreement(Judgements(once.values()))
    assert found.alpha.value == pytest.approx(expected)
    assert found.alpha.low < found.alpha.value < found.alpha.high
    pairs = SimulatedRaters(count=12, seed=0).judge("preference", QUALITIES, units=2)
    swapped = Judgements(
        replace(row, items=row.items[::-1], conditions=row.conditions[::-1], answer=1 - row.answer) for row in pairs
    )
    assert agreement(pairs).alpha.value == pytest.approx(agreement(swapped).alpha.value)


def test_agreement_that_cannot_be_told_says_why() -> None:
    rows = SimulatedRaters(count=1, seed=0).judge("opinion", {"a": 0.0}, units=50)
    assert "no two units" in agreement(Judgements([*rows][:1])).note
    same = Judgements(replace(row, answer=3.0, rater=f"r{i}", items=(f"a/{i % 2}",)) for i, row in enumerate(rows))
    assert agreement(same).note == "all answers are the same"


def test_who_does_not_look_is_flagged_and_others_are_not() -> None:
    population = SimulatedRaters(count=24, inattentive=4, seed=3)
    rows = population.judge("opinion", QUALITIES, per_rater=40, checks=4)
    quality = rater_quality(rows)
    flagged = [one.rater for one in quality if one.flags]
    assert flagged == [one.rater for one in quality][-4:]
    assert "too fast" in quality[-1].flags
    assert quality[0].passed == quality[0].checks == 4
    kept, gone = without(rows, flagged)
    assert (gone, len({row.rater for row in kept})) == (160, 20)


def test_one_side_and_one_answer_are_flagged() -> None:
    rows = SimulatedRaters(count=6, seed=0, spreads=FLAT).judge("preference", QUALITIES, per_rater=40)
    first = [replace(row, answer=1.0) if row.rater == "simulated-000" else row for row in rows]
    assert {"one side", "one answer"} <= set(rater_quality(Judgements(first))[0].flags)
    assert not any(one.flags for one in rater_quality(rows))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_who_calls_good_images_real_as_all_do_is_not_flagged(shift: float) -> None:
    """Where the generator is good, and all images look real, nearly all answers are one."""
    good = {name: quality + shift for name, quality in QUALITIES.items()}
    rows = SimulatedRaters(count=40, seed=1).judge("categorisation", good, per_rater=20, real="d")
    assert not any("one answer" in one.flags for one in rater_quality(rows))
    fakes = [replace(row, answer=0.0) if row.rater == "simulated-000" else row for row in rows]
    assert "one answer" in rater_quality(Judgements(fakes))[0].flags


def test_nobody_agrees_with_oneself() -> None:
    rows = [*SimulatedRaters(count=8, seed=2).judge("opinion", QUALITIES, units=3, per_rater=12)]
    again = [replace(row, trial=row.trial + 1000) for row in rows]
    assert agreement(Judgements([*again, *rows])).alpha.value == agreement(Judgements(rows)).alpha.value
    alone = Judgements(replace(row, rater="one") for row in [*rows[:12], *again[:12]])
    assert "no two units" in agreement(alone).note


def test_agreement_knows_no_order_of_rows_and_no_names() -> None:
    rows = [*SimulatedRaters(count=8, seed=2).judge("preference", QUALITIES, units=3, ties=True)]
    found, shuffled = (
        agreement(Judgements(of)).alpha for of in (rows, [rows[i] for i in np.argsort(np.sin(range(160)))])
    )
    assert (found.value, found.low, found.high) == (shuffled.value, shuffled.low, shuffled.high)
    other = {"a": "z", "b": "y", "c": "x", "d": "w"}
    renamed = Judgements(
        replace(
            row, conditions=tuple(other[c] for c in row.conditions), items=tuple(other[i[0]] + i[1:] for i in row.items)
        )
        for row in rows
    )
    assert agreement(renamed).alpha.value == pytest.approx(found.value)


def test_that_all_prefer_one_is_full_agreement() -> None:
    rows = SimulatedRaters(count=8, seed=2).judge("preference", {"a": 0.0, "b": 1.0}, units=4)
    best = Judgements(replace(row, answer=float(row.conditions[0] == "b")) for row in rows)
    assert agreement(best).alpha.value == 1


def test_a_mean_of_answers_all_alike_has_no_interval() -> None:
    rows = SimulatedRaters(count=8, seed=2).judge("opinion", QUALITIES)
    same = Judgements(replace(row, answer=5.0) for row in rows)
    for normalised in (False, True):
        found = mean_opinions(same, normalised)["a"]
        assert found.value == 5
        assert isnan(found.low)
        assert isnan(found.high)
