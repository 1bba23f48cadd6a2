"""Strengths of conditions: from judgements and counts, places and ties, honest intervals; and ratings in order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from openskill.models import BradleyTerryFull, PlackettLuce
from scipy.special import expit

from streaming_metrics.ratings.bradley_terry import bradley_terry
from streaming_metrics.ratings.davidson import chances
from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.online import online_ratings
from streaming_metrics.ratings.preference import win_matrix
from streaming_metrics.ratings.strengths import Strengths

STRENGTHS = np.array([-0.9, -0.2, 0.3, 0.8])
NAMES = ("a", "b", "c", "d")


def study(seed: int, raters: int = 20, trials: int = 20, prompts: int = 30, **spread: float) -> Judgements:
    """Return judgements of raters who differ in taste and side, of prompts that suit some conditions better."""
    rng = np.random.default_rng(seed)
    taste = spread.get("taste", 0.5) * rng.normal(size=(raters, 4))
    suits = spread.get("suits", 0.5) * rng.normal(size=(prompts, 4))
    side = spread.get("side", 0.4) + spread.get("sides", 0.4) * rng.normal(size=raters)
    rows = []
    for trial in range(raters * trials):
        rater, prompt = trial % raters, int(rng.integers(prompts))
        left, right = (int(place) for place in rng.choice(4, 2, replace=False))
        worth = STRENGTHS + taste[rater] + suits[prompt]
        won = np.stack(chances(np.array(worth[left] - worth[right] + side[rater]), np.log(0.5)))
        answer = float(rng.choice([1.0, 0.5, 0.0], p=won))
        shown = (f"{NAMES[left]}/{prompt}", f"{NAMES[right]}/{prompt}"), (NAMES[left], NAMES[right])
        rows.append(
            Judgement("s-0", "p", "preference", f"r{rater}", trial, *shown, answer, f"{trial:05}", prompt=f"{prompt}")
        )
    return Judgements(rows)


def test_the_order_is_recovered_and_the_left_bias_told() -> None:
    found = bradley_terry(study(0, raters=40, trials=40))
    assert found.order == ("d", "c", "b", "a")
    assert found.values == pytest.approx(STRENGTHS, abs=0.35)
    assert sum(found.values) == pytest.approx(0, abs=1e-8)
    assert found.side is not None
    assert found.left_share is not None
    assert found.side.low < 0.4 < found.side.high
    assert found.left_share.low > 0.5
    assert found.left_share.value == pytest.approx(
        float(np.dot([1, 0.5], np.array(chances(np.array(found.side.value), np.log(found.tie)))[:2]))
    )


def test_counts_give_the_values_of_judgements_without_sides() -> None:
    judged = study(1)
    of_rows, of_counts = bradley_terry(judged, sides=False), bradley_terry(win_matrix(judged, NAMES))
    assert of_counts.values == pytest.approx(of_rows.values, abs=1e-8)
    assert of_counts.tie == pytest.approx(of_rows.tie)
    assert of_counts.judgements == of_rows.judgements
    assert of_counts.side is of_counts.left_share is of_rows.side is None
    assert (of_counts.raters, of_rows.raters) == ((0,) * 4, (20,) * 4)


def test_raters_who_differ_make_intervals_wider_than_counts_would() -> None:
    judged = study(2, taste=1.5)
    of_rows, of_counts = bradley_terry(judged, sides=False), bradley_terry(win_matrix(judged, NAMES))
    assert of_rows.difference("d", "a").half_width > 1.5 * of_counts.difference("d", "a").half_width


def test_a_probability_is_a_share_of_wins_with_half_the_ties() -> None:
    judged = study(3)
    only = Judgements(row for row in judged if set(row.conditions) == {"a", "d"})
    found = bradley_terry(only, sides=False).probability("d", "a")
    assert found.value == pytest.approx(np.mean([row.side_of("d") for row in only]))  # saturated: the share itself
    whole = bradley_terry(judged)
    assert whole.probability("d", "a").value == pytest.approx(1 - whole.probability("a", "d").value)
    assert whole.probability("d", "a").low == pytest.approx(1 - whole.probability("a", "d").high)
    assert (
        0 < whole.probability("d", "a").low < whole.probability("d", "a").value < whole.probability("d", "a").high < 1
    )


def test_without_ties_it_is_the_logistic_function() -> None:
    judged = Judgements(row for row in study(4) if row.answer != 0.5)
    found = bradley_terry(judged)
    assert found.tie == 0.0
    gap = found.difference("c", "b")
    share = found.probability("c", "b")
    assert (share.value, share.low, share.high) == pytest.approx(tuple(expit([gap.value, gap.low, gap.high])))


def coverage(seeds: int, **spread: float) -> float:
    """Return how often intervals of all strengths and the side hold what a population of raters would give."""
    target = bradley_terry(study(10**6, raters=300, prompts=300, trials=100, **spread)).parameters
    covered = []
    for seed in range(seeds):
        found = bradley_terry(study(seed, **spread))
        estimates = [*found.estimates().values(), found.side]
        covered += [estimate.low <= value <= estimate.high for estimate, value in zip(estimates, target) if estimate]
    return float(np.mean(covered))


@pytest.mark.slow
def test_intervals_cover_where_raters_and_prompts_differ() -> None:
    assert 0.93 <= coverage(80) <= 0.985


def test_checks_and_other_kinds_are_left_out() -> None:
    judged = study(5, raters=5)
    check = replace(judged[0], trial=9999, expected=1.0, conditions=("zz", "a"))
    other = Judgement("s-0", "o", "opinion", "r1", 9998, ("a/1",), ("a",), 5.0, "")
    found = bradley_terry(judged.merge(Judgements([check, other])))
    assert found.values == bradley_terry(judged).values
    with pytest.raises(ValueError, match="expected preferences, got judgements without any"):
        bradley_terry(Judgements([other]))
    with pytest.raises(ValueError, match="expected preferences, got a matrix of zeros"):
        bradley_terry(win_matrix(Judgements([other]), NAMES))


def test_a_condition_that_won_all_is_told_and_a_prior_named() -> None:
    perfect = Judgements(row for row in study(6) if "d" not in row.conditions or row.side_of("d") == 1)
    with pytest.raises(ValueError, match=r"'d' that never lost to 'a', 'b', 'c'.*Remedy: .*prior=3\.0"):
        bradley_terry(perfect)
    found = bradley_terry(perfect, prior=3.0)
    assert found.prior == 3.0
    assert found.order[0] == "d"
    assert all(np.isfinite([e.low, e.high]).all() for e in found.estimates().values())
    strict = bradley_terry(perfect, prior=0.5)
    assert strict.values[3] < found.values[3]


def test_conditions_that_never_met_are_told() -> None:
    judged = Judgements(row for row in study(7) if set(row.conditions) in ({"a", "b"}, {"c", "d"}))
    with pytest.raises(ValueError, match="got none between 'a', 'b' and 'c', 'd'"):
        bradley_terry(judged)
    found = bradley_terry(judged, prior=3.0)
    assert found.difference("a", "c").half_width > 5  # as wide as the prior
    assert found.difference("a", "b").half_width < 1


def test_one_rater_tells_strengths_but_no_interval() -> None:
    one = Judgements(row for row in study(8, raters=1, trials=200))
    found = bradley_terry(one)
    assert np.isfinite(found.values).all()
    assert all(np.isnan([e.low, e.high]).all() for e in found.estimates().values())


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="prior: expected a number greater than 0"):
        bradley_terry(study(0), prior=0.0)
    with pytest.raises(ValueError, match="Expected one of a, b, c, d, got 'e'"):
        bradley_terry(study(0)).probability("a", "e")


def test_it_does_not_depend_on_the_order_and_online_ratings_do() -> None:
    judged = study(9, raters=8)
    backwards = Judgements(replace(row, when=f"{99999 - int(row.when):05}") for row in reversed(judged))
    one, other = bradley_terry(judged), bradley_terry(backwards)
    assert other.values == pytest.approx(one.values, abs=1e-8)
    assert np.allclose(one.covariance, other.covariance)
    assert online_ratings(judged)["a"].mu != pytest.approx(online_ratings(backwards)["a"].mu, abs=1e-3)


@pytest.mark.parametrize(("name", "model"), [("plackett-luce", PlackettLuce()), ("bradley-terry", BradleyTerryFull())])
def test_online_ratings_are_openskills_in_the_order_of_time(name: str, model: PlackettLuce) -> None:
    judged = study(10, raters=4)
    players = {condition: model.rating() for condition in NAMES}
    for row in judged:
        left, right = row.conditions
        teams = model.rate([[players[left]], [players[right]]], scores=[row.answer, 1 - row.answer])
        (players[left],), (players[right],) = teams
    found = online_ratings(Judgements(reversed(judged)), name)
    assert {condition: (r.mu, r.sigma, r.ordinal) for condition, r in found.items()} == {
        condition: pytest.approx((r.mu, r.sigma, r.ordinal())) for condition, r in players.items()
    }
    assert sum(rating.games for rating in found.values()) == 2 * len(judged)
    assert list(found) == sorted(found, key=lambda condition: -found[condition].ordinal)


def test_online_ratings_recover_the_order() -> None:
    assert list(online_ratings(study(11, raters=40, trials=40))) == ["d", "c", "b", "a"]
    with pytest.raises(ValueError, match="online_ratings: expected preferences, got none"):
        online_ratings(Judgements([]))


def test_strengths_are_values_of_their_own() -> None:
    found: Strengths = bradley_terry(study(0))
    with pytest.raises(AttributeError):
        found.prior = 1.0  # pyright: ignore[reportAttributeAccessIssue]
