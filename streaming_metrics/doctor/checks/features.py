"""Features: whether they tell images apart at all, and on which classes they fall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.doctor.checks.base import Finding, number

if TYPE_CHECKING:
    from streaming_metrics.doctor.facts import Facts

ROUNDED = 2.0**-16
"""Of a mean's length: float32 has 24 bits, of which sums over a network's layers lose about 8, so that what differs by
less is rounding."""


def constant_features(facts: Facts) -> Finding:
    """Find features that are the same for all images of a side, up to rounding."""
    relative = {side.name: side.spread**0.5 / max(side.mean_norm, 1e-300) for side in facts.sides}
    constant = [name for name, ratio in relative.items() if ratio < ROUNDED]
    told = ", ".join(f"{name} {number(ratio)}" for name, ratio in relative.items())
    if not constant:
        return Finding("fine", f"Features spread around their mean by a share of its length: {told}.", "", relative)
    return Finding(
        "fault",
        f"The {' and the '.join(constant)} features are constant: of their mean's length, features spread by {told}, "
        f"and below {number(ROUNDED)} that is rounding. The network takes all of these images for the same.",
        "Look at the images; where they differ, at the network: its weights, its range of inputs, its layer.",
        relative,
    )
