"""Samples: repeats, classes, and whether there are enough of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from streaming_metrics.core.repeats import has_repeats, message_of
from streaming_metrics.doctor.checks.base import Finding, number
from streaming_metrics.doctor.facts import ALPHA

if TYPE_CHECKING:
    from streaming_metrics.doctor.facts import Facts

RARE = "all rare classes"
"""What those of too few samples are called together."""
LEAST_EXPECTED = 5
"""Samples of a class below which χ² is no good approximation (W. G. Cochran, Biometrics 1954): those are pooled."""
SMALL_W, MEDIUM_W = 0.1, 0.3
"""Cohen's w that is called small, and medium: of classes that folders name, a small one counts; predictions move with
the quality of images too, so of them a medium one does."""
ENOUGH = 5
"""Samples a feature from which the bias of a Fréchet distance can be told to a hundredth of it, in simulation."""


def repeats(facts: Facts) -> Finding:
    """Find images that came more than once."""
    counts = {side.name: side.distinct for side in facts.sides if side.distinct is not None}
    for side in facts.sides:
        if side.distinct is not None and has_repeats(side.distinct):
            role = "fake" if side is facts.fake else "real"
            told, _, remedy = message_of(side.distinct, role, "images").partition(" Remedy: ")
            remedy = remedy[:1].upper() + remedy[1:]
            return Finding("fault", told, remedy, {f"{side.name}_distinct": side.distinct.distinct})
    if len(counts) < 2:
        return Finding("cannot tell", "How many images are distinct is not known.")
    told = ", ".join(f"{found.distinct:,} of {found.num_samples:,} {name}" for name, found in counts.items())
    return Finding(
        "fine", f"Distinct images: {told}.", "", {f"{name}_distinct": n.distinct for name, n in counts.items()}
    )


class Shares(NamedTuple):
    """Comparison of the sides' shares of classes: how many are compared, χ²'s p-value, Cohen's w, the class furthest
    off with its share of either side.
    """

    classes: int
    p_value: float
    effect: float
    name: str
    real: float
    fake: float


def compared(real: np.ndarray, fake: np.ndarray, names: list[str]) -> Shares | None:
    """Return the comparison of two lists of counts; None where fewer than two classes have enough samples.

    Example:
        >>> found = compared(np.array([50, 50]), np.array([90, 10]), ["cat", "dog"])
        >>> found.name, round(found.effect, 2), found.p_value < 1e-4
        ('cat', 0.44, True)
    """
    total = real + fake
    share = np.array([real.sum(), fake.sum()], dtype=float) / max(1, total.sum())
    enough = total * share.min() >= LEAST_EXPECTED
    table = np.stack([np.append(side[enough], side[~enough].sum()) for side in (real, fake)]).astype(float)
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2 or not table.sum(1).all():
        return None
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    shares = table / table.sum(1, keepdims=True)
    furthest = int(np.abs(shares[0] - shares[1]).argmax())
    kept = [name for name, is_kept in zip(names, enough) if is_kept]
    name = kept[furthest] if furthest < len(kept) else RARE
    p_value = float(stats.chi2.sf(statistic, table.shape[1] - 1))
    effect = (statistic / float(table.sum())) ** 0.5
    return Shares(table.shape[1], p_value, effect, name, *map(float, shares[:, furthest]))


def classes(facts: Facts) -> Finding:
    """Find classes that are more frequent on one side, by the folders that images lie in, else as the network sees."""
    real, fake = (side.classes for side in facts.sides)
    if len(real.keys() & fake.keys()) >= 2:
        names = sorted({*real, *fake})
        one, other = (np.array([side.get(name, 0) for name in names]) for side in (real, fake))
        return _of_shares(compared(one, other, names), SMALL_W, ", by folder,", "Generate as many of each.")
    predictions = [side.predictions for side in facts.sides]
    if any(counts is None for counts in predictions):
        return Finding("cannot tell", "Neither folders name classes on both sides, nor does the network predict any.")
    counts = [one.cpu().numpy() for one in predictions if one is not None]
    names = [str(place) for place in range(len(counts[0]))]
    remedy = "Look at images of that class; where the model is conditional, at how often each class was asked for."
    return _of_shares(compared(counts[0], counts[1], names), MEDIUM_W, " of the network", remedy)


def _of_shares(found: Shares | None, least: float, who: str, remedy: str) -> Finding:
    if found is None:
        return Finding("cannot tell", "Too few images of two classes or more.")
    numbers = {"classes": found.classes, "p": found.p_value, "effect": found.effect}
    tested = f"χ² over {found.classes} classes: p = {found.p_value:.1g}, w = {found.effect:.2f}"
    whose = f"All rare classes{who} have" if found.name == RARE else f"Class {found.name}{who} has"
    told = f"{whose} {found.real:.1%} of the real images and {found.fake:.1%} of the generated"
    is_fault = found.p_value < ALPHA and found.effect >= least
    return Finding("fault" if is_fault else "fine", f"{told} ({tested}).", remedy if is_fault else "", numbers)


def enough(facts: Facts) -> Finding:
    """Find sides that are too small for the number of features."""
    width = facts.num_features
    fewest = min(side.num_samples for side in facts.sides)
    numbers: dict[str, float] = {"fewest": fewest, "num_features": width}
    told = ""
    if facts.corrected is not None:
        numbers["bias"] = facts.value - facts.corrected
        told = (
            f" Of the score, {number(facts.value)}, about {number(numbers['bias'])} is there because of their number."
        )
    elif facts.half_value is not None and facts.half_value <= facts.value:
        told = (
            f" Half of the generated images score {number(facts.half_value)}, all {number(facts.value)}: with so few, "
            "chance outweighs the bias."
        )
    elif facts.half_value is not None:
        numbers["bias"] = facts.half_value - facts.value
        told = (
            f" Half of the generated images score {number(facts.half_value)}, all {number(facts.value)}: about "
            f"{number(numbers['bias'])} of that, or more, is there because of their number."
        )
    counts = ", ".join(f"{side.num_samples:,} {side.name}" for side in facts.sides)
    if fewest < 2 * (width + 1):
        return Finding(
            "fault",
            f"{counts} images for {width:,} features: below {2 * (width + 1):,}, twice as many and two, half of them "
            f"have a singular covariance, and the bias cannot be told from the distance.{told}",
            f"Take at least {ENOUGH * width:,} images, the same number for all that is compared; or a smaller network.",
            numbers,
        )
    return Finding("fine", f"{counts} images for {width:,} features.{told}", "", numbers)
