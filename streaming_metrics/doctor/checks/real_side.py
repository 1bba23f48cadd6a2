"""Real side: what it scores against itself, and whether a saved reference is of these images."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING

from scipy import stats

from streaming_metrics.doctor.checks.base import Finding, number
from streaming_metrics.doctor.facts import ALPHA

if TYPE_CHECKING:
    from streaming_metrics.doctor.facts import Facts

MATTERS = 0.01
"""Share of a value by which another reference may move it: leaderboards give three digits, so that more is seen."""


def floor(facts: Facts) -> float | None:
    """Return what images of the real distribution would score at these numbers of samples; None where it is not known.

    The Fréchet distance between samples of one distribution is proportional to ``1/n + 1/m``: between two halves of the
    real side to 4/n.
    """
    if facts.halves is None:
        return None
    n, m = (side.num_samples for side in facts.sides)
    return facts.halves * (1 / n + 1 / m) * n / 4


def itself(facts: Facts) -> Finding:
    """Find generated images that are nearer to the real ones than other real ones would be."""
    least, needed = floor(facts), 2 * (facts.num_features + 1)
    if least is None or least <= 0 or facts.real.num_samples < needed:
        return Finding(
            "cannot tell",
            f"{facts.real.num_samples:,} real images are too few, or too uniform, to be held against themselves: "
            f"halves of fewer than {needed:,} have singular covariances.",
        )
    # a squared distance over k directions has a relative standard deviation of √(2/k), a ratio of two √(4/k)
    varies = sqrt(2 / max(1.0, facts.real.directions))
    numbers = {"halves": facts.halves or 0.0, "floor": least, "floor_sd": varies * least, "ratio": facts.value / least}
    told = (
        f"Two halves of the real images are {number(facts.halves or 0.0)} apart, so images of their kind would score "
        f"about {number(least)} ± {number(varies * least)} at these numbers; the generated ones score "
        f"{number(facts.value)}"
    )
    lowest = exp(-float(stats.norm.isf(ALPHA)) * sqrt(2) * varies)
    if facts.value < lowest * least:
        return Finding(
            "fault",
            f"{told}, less than {number(lowest)} times that: they are nearer to the real ones than new images can be.",
            "Look for real images among the generated ones: the same folder given twice, reconstructions, copies.",
            numbers,
        )
    return Finding("fine", f"{told}, {number(numbers['ratio'])} times that.", "", numbers)


def reference(facts: Facts) -> Finding:
    """Find a saved reference that is not of the real images given, by the mean of features."""
    found = facts.reference
    if found is None:
        return Finding("cannot tell", "There is no saved reference beside the real images.", "--reference FILE.")
    n = facts.real.num_samples
    # of n images and of those of the file, if there are fewer than it says, as many again
    expected = facts.real.spread * (1 / n + 1 / (found.num_samples or n))
    ratio = found.shift / max(expected, 1e-300)
    most = 1 + float(stats.norm.isf(ALPHA)) * sqrt(2 / max(1.0, facts.real.directions))
    moved = abs(found.value - facts.value) / max(facts.value, 1e-300)
    nearest = min(found.distances, key=lambda name: found.distances[name])
    numbers = {"ratio": ratio, "moved": moved, "distance": found.distances[found.resize]}
    told = (
        f"The mean of the reference is {number(ratio)} times as far from that of the real images, squared, as sampling "
        f"takes two sets of one kind; against it the score is {number(found.value)} in place of {number(facts.value)}"
    )
    if ratio > most and moved > MATTERS:
        other = found.distances[nearest]
        better = nearest != found.resize and other < found.distances[found.resize] / 2
        hint = (
            f"It is nearest to these images resized by {nearest} ({number(other)} in place of "
            f"{number(found.distances[found.resize])}): compare by that."
            if better
            else "Make it again of these images, by `streaming-metrics reference`, or give the images that it is of."
        )
        return Finding("fault", f"{told}: it is not of these images.", hint, numbers)
    return Finding("fine", f"{told}.", "", numbers)
