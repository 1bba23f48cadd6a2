"""Scores: mean opinions, preference shares, win matrices, contrasts and what is still needed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import ceil, isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streaming_metrics.ratings.agreement import agreement
from streaming_metrics.ratings.bradley_terry import bradley_terry
from streaming_metrics.ratings.categorisation import categorise
from streaming_metrics.ratings.contrasts import contrast
from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.online import online_ratings
from streaming_metrics.ratings.opinion import _normalised, mean_opinions, opinion_covariance
from streaming_metrics.ratings.planning import still_needed
from streaming_metrics.ratings.preference import preference_share, share, win_matrix
from streaming_metrics.ratings.simulated import SimulatedRaters
from streaming_metrics.verdicts.holm import holm

if TYPE_CHECKING:
    from collections.abc import Callable


def opinions(rng: np.random.Generator, effects: dict[str, float], raters: int = 12, prompts: int = 12) -> Judgements:
    """Return scores by lenient and strict raters of easy and hard prompts."""
    rows, lenient, hard = [], rng.normal(size=raters), rng.normal(size=prompts)
    for rater in range(raters):
        trials = [(name, prompt) for name in effects for prompt in rng.permutation(prompts)[:6]]
        for trial, (name, prompt) in enumerate(trials):
            latent = 3 + effects[name] + 0.7 * lenient[rater] + 0.4 * hard[prompt] + rng.normal() * 0.7
            answer = float(np.clip(round(latent), 1, 5))
            shown = (f"{name}/{prompt}",), (name,)
            rows.append(Judgement("s-1a2b3c4d", "o", "opinion", f"{rater}", trial, *shown, answer, "", f"p{prompt}"))
    return Judgements(rows)


def preferences(rng: np.random.Generator, p: float, raters: int = 12, prompts: int = 12) -> Judgements:
    """Return comparisons of a and b, swapped at random, by raters of differing taste."""
    rows, taste = [], rng.normal(size=raters) * 0.5
    for rater in range(raters):
        for trial in range(10):
            prompt, swapped = rng.integers(prompts), rng.random() < 0.5
            won = float(rng.random() < 1 / (1 + np.exp(-(np.log(p / (1 - p)) + taste[rater]))))
            names = ("b", "a") if swapped else ("a", "b")
            shown = tuple(f"{name}/{prompt}" for name in names), names
            answer = 1 - won if swapped else won
            rows.append(Judgement("s-1a2b3c4d", "p", "preference", f"{rater}", trial, *shown, answer, "", f"p{prompt}"))
    return Judgements(rows)


def test_means_are_those_of_the_scores_and_normalising_takes_leniency_out() -> None:
    found = opinions(np.random.default_rng(0), {"a": 0.0, "b": 0.8})
    raw, normalised = mean_opinions(found), mean_opinions(found, normalised=True)
    assert raw["a"].value == pytest.approx(found.where(condition="a").column("answer").mean())
    assert normalised["b"].value > normalised["a"].value
    assert normalised["a"].half_width < 0.8 * raw["a"].half_width
    covariance = opinion_covariance(found, ["a", "b"])
    assert covariance[0, 1] > 0  # lenient raters are lenient to both


def test_an_interval_is_cut_to_the_scale() -> None:
    shown = [("p", 0, 1.0), ("p", 1, 1.0), ("q", 0, 1.0), ("q", 1, 2.0)]
    rows = [Judgement("s-1a2b3c4d", "o", "opinion", r, k, (f"a/{k}",), ("a",), x, "") for r, k, x in shown]
    found = mean_opinions(Judgements(rows))["a"]
    assert (found.value, found.low) == (1.25, 1)
    assert 1.25 < found.high <= 5


def test_a_rater_with_one_answer_is_at_the_mean_once_normalised() -> None:
    always = [Judgement("s-1a2b3c4d", "o", "opinion", "z", t, (f"{n}/0",), (n,), 5.0, "") for t, n in enumerate("ab")]
    found = opinions(np.random.default_rng(1), {"a": 0.0, "b": 1.0}).merge(Judgements(always))
    assert all(np.isfinite(one.value) for one in mean_opinions(found, normalised=True).values())


def test_a_share_sees_both_sides_and_counts_ties_one_half() -> None:
    found = preferences(np.random.default_rng(0), 0.7)
    a, b = preference_share(found, "a", "b"), preference_share(found, "b", "a")
    assert a.value == pytest.approx(1 - b.value)
    assert a.low == pytest.approx(1 - b.high)
    assert preference_share(found, "a") == a
    matrix = win_matrix(found, ["b", "a"])
    assert matrix.names == ("b", "a")
    assert matrix.wins[1, 0] / matrix.wins.sum() == pytest.approx(a.value)
    assert isnan(preference_share(found, "c").value)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_win_matrices_add_over_shards(shards: int) -> None:
    found = preferences(np.random.default_rng(2), 0.4)
    whole = win_matrix(found, ["a", "b"])
    parts = [win_matrix(Judgements([*found][start::shards])) for start in range(shards)]
    summed = parts[0]
    for part in parts[1:]:
        summed = summed + part
    assert (summed.of(["a", "b"]).wins == whole.wins).all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_at_its_end_has_an_interval(value: float) -> None:
    found = share([value] * 20, list(range(10)) * 2, list(range(20)))
    assert found.low <= value <= found.high
    assert 0.1 < found.high - found.low < 0.4


def test_an_interval_does_not_leap_between_none_and_one_that_differ() -> None:
    """200 answers by 10 raters of 20 images; the interval of none was three times as wide as that of one."""
    raters, images = [n // 20 for n in range(200)], [n % 20 for n in range(200)]
    found = [share([0.0] * against + [1.0] * (200 - against), raters, images) for against in range(4)]
    for before, after in pairwise(found):
        assert after.low < before.low + 0.03
        assert 0.5 < after.half_width / before.half_width < 1.7


@pytest.mark.parametrize("against", [0, 1, 6])
def test_a_preference_is_told_apart_where_its_interval_leaves_one_half_out(against: int) -> None:
    rows = [
        Judgement("s-1a2b3c4d", "p", "preference", str(n % 4), n, ("a/0", "b/0"), ("a", "b"), float(n >= against), "")
        for n in range(16)
    ]
    rows = [replace(row, prompt=f"p{row.trial // 4}") for row in rows]
    found = contrast(Judgements(rows), "a", "b")
    assert found.difference.low < found.difference.value <= found.difference.high
    assert (found.p < 0.05) == (found.difference.low > 0)


def test_a_contrast_of_answers_that_are_all_the_same_is_not_certain() -> None:
    rows = opinions(np.random.default_rng(0), {"a": 0.0, "b": 0.0})
    same = contrast(Judgements(replace(row, answer=3.0) for row in rows), "a", "b")
    assert same.difference.value == 0
    assert isnan(same.difference.low)
    assert isnan(same.p)


@pytest.mark.parametrize("p", [0.5, 0.75, 0.9])
def test_the_interval_of_a_share_covers(p: float) -> None:
    """Raters of differing taste: 90 to 99 % of 300 (its own error is 1.3 %)."""
    rng = np.random.default_rng(int(100 * p))
    truth = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + 0.5 * rng.normal(size=200_000))))
    found = [preference_share(preferences(rng, p), "a", "b") for _ in range(300)]
    assert 270 <= sum(one.low <= truth.mean() <= one.high for one in found) <= 297


def test_no_difference_is_found_as_often_as_it_should_be() -> None:
    """The null: 1 to 9 % of 300 are below 5 % (its own error is 1.3 %); few where raters and prompts are alike."""
    rng = np.random.default_rng(0)
    scores = [contrast(opinions(rng, {"a": 0.0, "b": 0.0}), "a", "b").p for _ in range(300)]
    assert 3 <= sum(p < 0.05 for p in scores) <= 27
    shares = [contrast(preferences(rng, 0.5), "a", "b").p for _ in range(300)]
    assert 3 <= sum(p < 0.05 for p in shares) <= 27


def test_contrasts_cancel_what_both_share_and_change_sign() -> None:
    found = opinions(np.random.default_rng(3), {"a": 0.0, "b": 0.8})
    one, other = contrast(found, "a", "b"), contrast(found, "b", "a")
    assert one.difference.value == pytest.approx(-other.difference.value)
    assert one.p == pytest.approx(other.p)
    raw = mean_opinions(found)
    assert one.difference.half_width < (raw["a"].half_width ** 2 + raw["b"].half_width ** 2) ** 0.5
    assert one.pairs > 20
    assert isnan(contrast(found, "a", "c").p)


def test_holm() -> None:
    assert holm([0.02, 0.01, nan]) == pytest.approx([0.02, 0.02, nan], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_as_many_more_raters_reach_the_half_width() -> None:
    rng, raters = np.random.default_rng(0), 8

    def drawn(count: int) -> tuple[list[float], list[int], list[int]]:
        lenient = rng.normal(size=count)
        r = np.repeat(np.arange(count), 10)
        return (lenient[r] + rng.normal(size=len(r))).tolist(), r.tolist(), list(range(len(r)))

    values = drawn(raters)
    found = still_needed(*values, half_width=0.25)
    assert found.judgements is not None
    assert found.raters is not None
    assert found.judgements == 10 * found.raters > 0
    reached = [still_needed(*drawn(raters + found.raters), half_width=0.01).half_width for _ in range(20)]
    assert 0.12 < float(np.median(reached)) < 0.5
    assert still_needed(*values, half_width=9.0).judgements == 0


def test_more_raters_of_three_prompts_cannot_tell_of_all_prompts() -> None:
    rng = np.random.default_rng(0)
    u = np.tile(np.arange(3), 20)
    values = np.array([1.0, 3.0, 5.0])[u] + 0.1 * rng.normal(size=60)
    found = still_needed(values.tolist(), np.repeat(np.arange(20), 3).tolist(), u.tolist(), 0.1)
    assert found.judgements is None
    assert "more prompts" in found.note
    assert still_needed([1.0], ["a"], [0], 0.1).judgements is None


@pytest.mark.parametrize(("differ", "asked", "reaches"), [(0.0, 0.08, True), (1.0, 0.08, False)])
def test_more_by_the_same_raters_reach_it_only_where_raters_do_not_differ(
    differ: float, asked: float, reaches: bool
) -> None:
    """Forty raters of 10 of 100 images; then with as many more as were asked for, of the same people."""
    rng, reached = np.random.default_rng(0), []
    for _ in range(20):
        lenient = differ * rng.normal(size=40)

        def judged(each: int, lenient: np.ndarray = lenient) -> tuple[list[float], list[int], list[int]]:
            r = np.repeat(np.arange(40), each)
            u = np.concatenate([rng.permutation(100)[:each] for _ in range(40)])
            return (lenient[r] + rng.normal(size=len(r))).tolist(), r.tolist(), u.tolist()

        more = still_needed(*judged(10), half_width=asked).same_raters
        if more is not None:
            reached.append(still_needed(*judged(10 + ceil(more / 40)), half_width=0.01).half_width)
    assert len(reached) >= 12 if reaches else not reached
    assert not reached or float(np.median(reached)) == pytest.approx(asked, rel=0.3)


def test_answers_that_are_all_the_same_do_not_tell_what_is_needed() -> None:
    found = still_needed([1.0] * 40, [n // 4 for n in range(40)], [n % 8 for n in range(40)], 0.1)
    assert found.judgements is None
    assert "the same" in found.note


def of_two_tasks(kind: str) -> Judgements:
    """Judgements of two questions, or on two scales, by the same raters."""
    rows = [
        SimulatedRaters(count=4, seed=seed).judge(kind, {"a": 0.0, "b": 1.0, "real": 1.0}, real="real", task=task)
        for seed, task in enumerate(("looks better", "shows the text"))
    ]
    return Judgements(replace(row, trial=row.trial + 100 * n) for n, part in enumerate(rows) for row in part)


@pytest.mark.parametrize(
    ("kind", "statistic"),
    [
        ("opinion", mean_opinions),
        ("preference", lambda rows: preference_share(rows, "a")),
        ("preference", win_matrix),
        ("preference", bradley_terry),
        ("preference", online_ratings),
        ("preference", lambda rows: contrast(rows, "a", "b")),
        ("categorisation", categorise),
        ("opinion", agreement),
    ],
    ids=["mean", "share", "matrix", "strengths", "online", "contrast", "categorise", "agreement"],
)
def test_judgements_of_two_tasks_are_no_one_number(kind: str, statistic: Callable[[Judgements], Any]) -> None:
    rows = of_two_tasks(kind)
    with pytest.raises(ValueError, match="expected judgements of one task, got looks better, shows the text"):
        statistic(rows)
    assert statistic(rows.where(task="looks better"))


def test_normalised_scores_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(3)
    scores, raters = rng.integers(1, 6, 60).astype(float), [f"r{one}" for one in rng.integers(0, 7, 60)]
    scores[[rater == "r0" for rater in raters]] = 4.0
    own = {rater: scores[[one == rater for one in raters]] for rater in set(raters)}
    usual = np.mean([of.std() for of in own.values() if of.std() > 0])
    expected = [
        scores.mean() + ((x - own[rater].mean()) / own[rater].std() * usual if rater != "r0" else 0)
        for x, rater in zip(scores, raters)
    ]
    assert _normalised(scores, raters) == pytest.approx(expected)


def test_what_a_prompt_adds_to_all_conditions_is_not_in_a_normalised_interval() -> None:
    """Each rater sees every prompt of both conditions, which differ far less than the prompts do."""
    rng, rows = np.random.default_rng(5), []
    for rater in range(12):
        for trial, (name, prompt) in enumerate((name, prompt) for name in "ab" for prompt in range(12)):
            answer = float(1 + prompt % 4 + (name == "b") * (rng.random() < 0.8))
            shown = (f"{name}/{prompt}",), (name,)
            rows.append(Judgement("s-1a2b3c4d", "o", "opinion", f"{rater}", trial, *shown, answer, "", f"p{prompt}"))
    normalised, raw = (mean_opinions(Judgements(rows), normalised=one)["a"] for one in (True, False))
    assert normalised.half_width < 0.2 * raw.half_width
