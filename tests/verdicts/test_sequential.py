"""Sequential comparison: its error rate, its power, at which looks it compares, and what it follows."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan, sqrt

import numpy as np
import pytest

from streaming_metrics.verdicts.evidence import Evidence, Influence
from streaming_metrics.verdicts.looks import looks, threshold
from streaming_metrics.verdicts.sequential import Outcome, Sequential

LOOKS = [100, 200, 400, 800]
REPS = 20_000


def evidence(samples: np.ndarray, n: int, value: float | None = None) -> Evidence:
    """The mean of the first n samples, whose influence values are known."""
    mean = float(samples[:n].mean())
    return Evidence("fid", mean if value is None else value, Influence(np.arange(n), samples[:n] - mean, n))


def run(course: Sequential, samples: np.ndarray, name: str = "epoch", at: tuple[int, float] = (0, 0.0)) -> Outcome:
    """Let a course see a candidate; its value at one look may be another."""
    course.begin()
    while (n := course.next_look) is not None:
        seen = evidence(samples, n, at[1] if n == at[0] else None)
        course.take(seen, course.compare(seen))
    return course.end(name)


def noise(seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Samples of a candidate: noise of its own on top of what all share."""
    return np.sin(np.arange(LOOKS[-1])) + scale * np.random.default_rng(seed).standard_normal(LOOKS[-1]) + shift


@pytest.mark.parametrize("num_looks", [1, 2, 4, 7])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_all_looks_together_err_as_often_as_alpha_says(num_looks: int, alpha: float) -> None:
    shares = 0.5 ** np.arange(num_looks - 1, -1, -1)
    steps = np.sqrt(np.diff(shares, prepend=0)) * np.random.default_rng(0).standard_normal((REPS, num_looks))
    z = np.abs(steps.cumsum(1)) / np.sqrt(shares)
    rate = np.mean((z >= [threshold(share, num_looks, alpha) for share in shares]).any(1))
    spread = sqrt(alpha * (1 - alpha) / REPS)
    assert alpha - 3 * spread <= rate <= alpha + 2 * spread
    if num_looks > 2:  # as many looks at 1.96 standard errors do not
        assert np.mean((z >= threshold(1.0, 1, alpha)).any(1)) > 1.5 * alpha


def test_a_verdict_between_equals_is_as_rare_as_alpha_says_and_one_that_differs_is_told_early() -> None:
    outcomes = {shift: [] for shift in (0.0, -0.6)}
    for seed in range(300):
        for shift, found in outcomes.items():
            course = Sequential(LOOKS, 0.05)
            run(course, noise(2 * seed))
            found.append(run(course, noise(2 * seed + 1, shift)))
    wrong = np.mean([one.verdict != "undecided" for one in outcomes[0.0]])
    assert 0.01 < wrong <= 0.05 + 2 * sqrt(0.05 * 0.95 / 300)
    assert all(one.verdict == "better" for one in outcomes[-0.6])
    assert np.mean([one.num_samples for one in outcomes[-0.6]]) < 0.4 * LOOKS[-1]


def test_the_first_is_measured_in_full_and_what_is_undecided_at_all_of_the_best_s_looks() -> None:
    course = Sequential(LOOKS, 0.05)
    first = run(course, noise(0), "one")
    assert (first.verdict, first.num_samples, first.decided, first.comparison) == ("first", 800, noise(0).mean(), None)
    second = run(course, noise(0) + 1e-9 * noise(1, scale=1.0), "two")
    assert (second.verdict, second.num_samples, second.decided, second.against) == (
        "undecided",
        800,
        first.decided,
        "one",
    )


def test_a_worse_one_stops_at_once_and_changes_nothing() -> None:
    course = Sequential(LOOKS, 0.05)
    first, best = run(course, noise(0)), course.best
    worse = run(course, noise(1, 2.0))
    assert (worse.verdict, worse.num_samples, worse.decided, course.best) == ("worse", 100, first.decided, best)


def test_a_better_one_goes_on_for_one_look_and_later_ones_are_compared_at_its_looks_alone() -> None:
    course = Sequential(LOOKS, 0.05)
    first = run(course, noise(0))
    better = run(course, noise(1, -2.0), "better")
    assert better.comparison is not None
    assert (better.verdict, better.num_samples) == ("better", 200)
    assert better.decided == first.decided + better.comparison.difference < first.decided
    assert better.comparison.difference == noise(1, -2.0)[:100].mean() - noise(0)[:100].mean()
    equal = run(course, noise(1, -2.0) + 1e-6 * noise(3))
    assert (equal.verdict, equal.num_samples, equal.against) == ("undecided", 200, "better")
    assert equal.comparison is not None
    half = (equal.comparison.high - equal.comparison.low) / 2
    assert half == pytest.approx(threshold(1.0, 2, 0.05) * equal.comparison.error)


def test_higher_may_be_better_and_then_the_value_rises_on_a_verdict_alone() -> None:
    course = Sequential(LOOKS, 0.05)
    values = []
    for seed, shift in enumerate((0.0, -2.0, 2.0, 2.0)):
        course.begin()
        while (n := course.next_look) is not None:
            seen = replace(evidence(noise(seed, shift), n), better="higher")
            course.take(seen, course.compare(seen))
        values.append(course.end("").decided)
    assert values[0] == values[1] < values[2] == values[3]


def test_a_value_that_is_refused_tells_nothing_at_its_look() -> None:
    course = Sequential(LOOKS, 0.05)
    course.begin()
    while (n := course.next_look) is not None:
        course.take(evidence(noise(0), n, nan), None)
    assert isnan(course.end("").decided)
    assert course.best is None
    first = run(course, noise(0))
    better = run(course, noise(1, -2.0), at=(100, nan))
    assert (first.verdict, better.verdict, better.num_samples) == ("first", "better", 400)  # told at 200
    assert better.decided < first.decided
    after = run(course, noise(2))
    assert (after.verdict, after.num_samples, after.decided) == ("worse", 200, better.decided)


def test_one_better_whose_next_look_is_refused_is_compared_at_the_looks_that_are_known() -> None:
    course = Sequential(LOOKS, 0.05)
    run(course, noise(0))
    run(course, noise(1, -2.0), at=(200, nan))
    assert course.best is not None
    assert list(course.best.evidence) == [100]


def test_other_samples_are_an_error_and_the_candidate_is_forgotten() -> None:
    course = Sequential(LOOKS, 0.05)
    first = run(course, noise(0))
    course.begin()
    other = evidence(noise(1), 100)
    with pytest.raises(ValueError, match="the same samples"):
        course.compare(replace(other, fake=replace(other.fake, index=other.fake.index + 1)))
    course.begin()
    assert course.next_look == 100
    assert run(course, noise(1, 2.0)).decided == first.decided


def test_looks_double_up_to_the_number_of_samples() -> None:
    assert looks(1797, least=200) == [224, 449, 898, 1797]
    assert looks(50, least=200) == [50]
