"""Table of all checks, in the order in which they are told: network, images, their number, reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.doctor.checks import features, pixels, real_side, samples, weights
from streaming_metrics.doctor.checks.base import Check, Finding

if TYPE_CHECKING:
    from streaming_metrics.doctor.facts import Facts

CHECKS: tuple[Check, ...] = (
    Check("weights", "random weights, or others than the published ones", weights.weights),
    Check("constant features", "a network, or a side, without differences", features.constant_features),
    Check("range", "values of another range than 0 … 255, or than the other side", pixels.value_range),
    Check("channel order", "BGR taken for RGB, or one side without colour", pixels.channel_order),
    Check("size", "sides of different size in pixels", pixels.size),
    Check("aspect", "sides of different shape", pixels.aspect),
    Check("compression", "JPEG on one side", pixels.compression),
    Check("repeats", "images that came more than once", samples.repeats),
    Check("classes", "classes more frequent on one side", samples.classes),
    Check("number", "too few samples for the features", samples.enough),
    Check("real against itself", "generated images that are real ones", real_side.itself),
    Check("reference", "a saved reference of other images", real_side.reference),
)


def findings(facts: Facts) -> dict[Check, Finding]:
    """Return what every check finds."""
    return {check: check.look(facts) for check in CHECKS}
