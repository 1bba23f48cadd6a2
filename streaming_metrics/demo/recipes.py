"""Recipes of the demo, one for each set of images: how long to train, and how many images to measure."""

from __future__ import annotations

from dataclasses import dataclass

BATCH = 256
"""Images of a step, over all processes."""


@dataclass(frozen=True)
class Recipe:
    """Recipe for a set of images.

    Args:
        what: the images are of.
        minutes: that all of it takes on two cores.
        out: folder for all that is written.
        epochs: that are trained, each of which is measured.
        passes: over the images in what is called an epoch.
        samples: images to generate each epoch.
        side: pixels that EfficientNet-Lite0 sees.
        threads: of PyTorch; None for as many as there are cores.
    """

    what: str
    minutes: int
    out: str
    epochs: int
    passes: int
    samples: int
    side: int = 64
    threads: int | None = None


RECIPES = {
    # So small a network gains nothing from threads, and on a busy machine they wait for one another.
    "digits": Recipe("digits", 3, "runs/demo", epochs=12, passes=21, samples=1797, threads=1),
    "fashion": Recipe("clothes of ten kinds", 10, "runs/demo-fashion", epochs=10, passes=1, samples=1000),
    "photographs": Recipe("crops of seven photographs", 10, "runs/demo-photographs", epochs=10, passes=4, samples=1001),
}
