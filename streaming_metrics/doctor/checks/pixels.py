"""Pixels: range, order of channels, size, shape and compression of the two sides' images."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from scipy import stats

from streaming_metrics.doctor.checks.base import Finding, number
from streaming_metrics.doctor.facts import ALPHA, Contrast
from streaming_metrics.doctor.traits import PLACES

if TYPE_CHECKING:
    from torch import Tensor

    from streaming_metrics.doctor.facts import Facts, TraitMoments

FEWEST = 30
"""Images of a side from which a mean of theirs is about normal."""
GREY = 1e-12
"""Difference of red and blue, squared or not, that rounding alone makes."""
HALVES = {"bright": "upper", "dark": "lower"}
MORE_BLACK, LARGE = 0.2, 0.8
"""Share of values that are 0 beyond the real side's, and Cohen's d that is called large, from which they were cut off:
floats in [−1, 1] taken for [0, 1] lose about half of theirs."""


def value_range(facts: Facts) -> Finding:
    """Find images that are 0 and 1 where they should reach 255, that never leave a half that the other side does, or
    generated ones with values cut off at 0.
    """
    numbers = {
        f"{side.name}_{name}": side.traits.average(name)
        for side in facts.sides
        for name in ("above_one", "black", *HALVES)
    }
    for side in facts.sides:
        if side.traits.average("above_one") == 0:
            return Finding(
                "fault",
                f"No value of the {side.num_samples:,} {side.name} images is above 1 of 255: they look black.",
                "They were floats in [0, 1] and are saved without × 255; save (x · 255).round().",
                numbers,
            )
    for side, other in (facts.sides, facts.sides[::-1]):
        for name, half in HALVES.items():
            if side.traits.average(name) == 0 and _never(other.traits.average(name), side.num_samples):
                return Finding(
                    "fault",
                    f"None of the {side.num_samples:,} {side.name} images reaches the {half} half of 0 … 255, and "
                    f"{other.traits.average(name):.0%} of those of the other side do.",
                    "Floats in [0, 1] were taken for [−1, 1], or multiplied by 127.5: give the range that they have.",
                    numbers,
                )
    return _cut_off(facts, numbers) or Finding(
        "fine", "Both sides reach into both halves of 0 … 255, or neither does.", "", numbers
    )


def _cut_off(facts: Facts, numbers: dict[str, float]) -> Finding | None:
    black = Contrast.of(facts, black=1)
    if not black.is_fault or black.effect < LARGE or black.fake - black.real < MORE_BLACK:
        return None
    return Finding(
        "fault",
        f"Of the values of generated images {black.fake:.0%} are 0, of those of real ones {black.real:.0%} (p = "
        f"{black.p_value:.1g}, d = {black.effect:.2f}): they were cut off, or black and white are exchanged.",
        "Floats in [−1, 1] were taken for [0, 1]: give the range that they have. Or the images are inverted.",
        numbers,
    )


def _never(share: float, num_samples: int) -> bool:
    """Return whether images of which a share does so would all fail to with less than the error rate."""
    return (1 - share) ** num_samples < ALPHA


def channel_order(facts: Facts) -> Finding:
    """Find one side without colour, or red and blue exchanged on one side.

    The latter by what exchanging them back makes of the sides' distance in colour.
    With a, of either side, the mean of what an exchange turns about (red − blue of means, of spreads, of covariances
    with green), and S its covariance, the squared distance is ``(a_f − a_r)ᵀS⁻¹(a_f − a_r)``, after an exchange that of
    ``a_f + a_r``; their difference is ``4·a_rᵀS⁻¹a_f``, below 0 where the exchange brings the sides together.
    """
    turned = [_turned(side.traits) for side in facts.sides]
    (one, varies), (other, varies_too) = turned
    grey = [_is_grey(side.traits) for side in facts.sides]
    if grey[0] != grey[1]:
        side, against = facts.sides if grey[0] else facts.sides[::-1]
        return Finding(
            "fault",
            f"All {side.num_samples:,} {side.name} images are grey, and the {against.name} ones have colours.",
            "Read and save both sides in colour, or both in grey.",
            {f"{side.name}_grey": side.num_samples},
        )
    pooled = (varies + varies_too) / 2
    scale = float(pooled.diagonal().sum())
    if min(side.num_samples for side in facts.sides) < FEWEST or scale < GREY:
        why = "the images are grey" if scale < GREY else f"there are fewer than {FEWEST} images of a side"
        return Finding("cannot tell", f"The order of channels leaves no trace, since {why}.")
    inverse = torch.linalg.pinv(pooled, rtol=1e-9, hermitian=True)
    together, apart = ((other + sign * one) @ inverse @ (other + sign * one) for sign in (-1.0, 1.0))
    product = float(one @ inverse @ other)
    n, m = (side.num_samples for side in facts.sides)
    variance = other @ inverse @ varies @ inverse @ other / n + one @ inverse @ varies_too @ inverse @ one / m
    z = product / sqrt(max(float(variance), 1e-300))
    numbers = {"distance": float(together) ** 0.5, "exchanged": float(apart) ** 0.5, "z": z}
    told = f"{number(numbers['distance'])} standard deviations apart in colour, {number(numbers['exchanged'])}"
    if z < -stats.norm.isf(ALPHA) and apart < together / 2:
        return Finding(
            "fault",
            f"The sides are {told} once red and blue of one are exchanged (z = {number(z)}): BGR was taken for RGB.",
            "Exchange the channels of the side that OpenCV wrote or read: image[..., ::-1].",
            numbers,
        )
    if abs(z) < stats.norm.isf(ALPHA):
        return Finding(
            "cannot tell", f"Red and blue are too alike: the sides are {told} with them exchanged.", "", numbers
        )
    return Finding("fine", f"The sides are {told} once red and blue of one are exchanged.", "", numbers)


def _is_grey(traits: TraitMoments) -> bool:
    """Return whether images have no colour, and are not plain."""
    mean, covariance = _turned(traits)
    return bool(mean.abs().max() < GREY and covariance.trace() < GREY) and traits.average("red_spread") > sqrt(GREY)


def _turned(traits: TraitMoments) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of what an exchange of red and blue turns into its negative."""
    turn = torch.zeros(3, len(traits.mean), dtype=traits.mean.dtype)
    for row, (plus, minus) in enumerate((("red", "blue"), ("red_spread", "blue_spread"), ("red_green", "green_blue"))):
        turn[row, PLACES[plus]], turn[row, PLACES[minus]] = 1, -1
    return turn @ traits.mean, turn @ traits.covariance @ turn.T


def size(facts: Facts) -> Finding:
    """Find sides whose images differ in size."""
    found = Contrast.of(facts, log_height=0.5, log_width=0.5)
    return _of_contrast(
        found,
        f"Real images have {_sides(facts.real.traits)} pixels, generated ones {_sides(facts.fake.traits)}",
        "so the network's resize changes one side more than the other.",
        "Bring the real images to the generated ones' size once, by one resize that you name (`clean`).",
    )


def aspect(facts: Facts) -> Finding:
    """Find sides whose images differ in shape."""
    found = Contrast.of(facts, log_width=1, log_height=-1)
    real, fake = (2**value for value in (found.real, found.fake))
    return _of_contrast(
        found,
        f"Real images are {real:.2f} times as wide as high, generated ones {fake:.2f} times",
        "so resizing to a square squeezes one side.",
        "Crop the real images as those that the model was trained on were, in place of squeezing them.",
    )


def compression(facts: Facts) -> Finding:
    """Find sides of which one went through JPEG, or more strongly than the other, at the size that it has now."""
    if any(side.traits.average("has_blocks") < 1 for side in facts.sides):
        return Finding("cannot tell", "Some images are smaller than 16 pixels, and show no grid of 8 × 8 blocks.")
    if size(facts).verdict == "fault":
        return Finding("cannot tell", "The sides differ in size, so that blocks of 8 × 8 pixels do not compare.")
    found = Contrast.of(facts, blocks=1)
    worse = "generated" if found.effect > 0 else "real"
    return _of_contrast(
        found,
        f"Blocks of 8 × 8 pixels hold {found.real:+.1%} (real) and {found.fake:+.1%} (generated) more coefficients "
        "near 0 than blocks off the grid",
        f"so the {worse} images were compressed as JPEG, or more than the others.",
        "Save both sides as PNG; where the real ones exist as JPEG alone, compress the generated ones alike.",
    )


def _of_contrast(found: Contrast, told: str, so: str, remedy: str) -> Finding:
    numbers = {"real": found.real, "generated": found.fake, "p": found.p_value, "effect": found.effect}
    tested = f"p = {found.p_value:.1g}, d = {found.effect:.2f}"
    if not found.is_fault:
        return Finding("fine", f"{told} ({tested}).", "", numbers)
    return Finding("fault", f"{told} ({tested}): {so}", remedy, numbers)


def _sides(traits: TraitMoments) -> str:
    height, width = (2 ** traits.average(name) for name in ("log_height", "log_width"))
    varies = traits.of(log_height=1)[1] + traits.of(log_width=1)[1] > 1e-9
    return ("about " if varies else "") + f"{width:.0f} × {height:.0f}"
