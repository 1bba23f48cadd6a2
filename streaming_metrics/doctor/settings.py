"""Setting: all that decides a Fréchet distance of given images, beside the images and the network's weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Rounding: TypeAlias = Literal["rounded", "truncated"]
"""How floats become 8 bits: ``round((x + 1)/2·255)``, of which ``trunc(127.5x + 128)`` is another writing, or
``trunc((x + 1)/2·255)``, which is darker by half a level on average."""
Factor: TypeAlias = Literal["num_samples", "quantisation", "resize", "precision", "reference", "ddof"]
FACTORS: tuple[Factor, ...] = ("num_samples", "quantisation", "resize", "precision", "reference", "ddof")
"""What may differ, in the order in which a difference is attributed: what the images are, then the network, then the
arithmetic."""
WORDS: dict[Factor, str] = {
    "num_samples": "generated samples",
    "quantisation": "floats to 8 bits",
    "resize": "resize",
    "precision": "precision",
    "reference": "reference",
    "ddof": "covariance divisor",
}
IMAGES, FILE = "images", "file"
"""Real sides: the moments of the real images given, or those of a saved reference."""


@dataclass(frozen=True)
class Setting:
    """Setting of one value.

    Args:
        resize: a named resize; empty where the network has its own or none.
        num_samples: generated samples that are drawn at most; None takes all.
        quantisation: of floats; images of 8 bits are as they are.
        precision: of the network.
        reference: ``"images"`` or ``"file"``.
        ddof: 1 divides a scatter by N − 1, 0 by N.

    Example:
        >>> first, last = Setting("tf1-bilinear"), Setting("clean", ddof=0)
        >>> [(factor, step.ddof) for factor, step in first.path(last)]
        [('resize', 1), ('ddof', 0)]
    """

    resize: str = ""
    num_samples: int | None = None
    quantisation: Rounding = "rounded"
    precision: str = "fp32"
    reference: str = IMAGES
    ddof: int = 1

    def path(self, last: Setting) -> list[tuple[Factor, Setting]]:
        """Return the settings on the way to another one, each with the one factor that it changes."""
        steps, setting = [], self
        for factor in FACTORS:
            if getattr(setting, factor) != getattr(last, factor):
                setting = replace(setting, **{factor: getattr(last, factor)})
                steps.append((factor, setting))
        return steps

    def told(self, factor: Factor) -> str:
        """Return a factor's value in words."""
        value = getattr(self, factor)
        if factor == "num_samples":
            return "all" if value is None else f"{value:,}"
        if factor == "ddof":
            return f"N − {value}" if value else "N"
        return value or "the network's own"
