"""What do the running statistics cost beside the network? Moments and marginals an image, over Inception's own time.

    python benchmarks/update.py --images 16 --side 64 --repeats 3

The metric is given features of the reference's widths in batches of 64, real and generated, as FID and IS need them;
Inception runs in float32 on images. The moments must agree with NumPy's covariance to 1e-9. The share of the ceiling
counts the covariance's products. What finding repeats adds, a hash of the pixels and a place in the sketch of distinct
images, is timed on batches of two sides; the sketch must count them right.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from harness.ceilings import Ceilings, share
from harness.common import interleaved
from harness.inputs import CLASSES, WIDTH, draw_features, draw_images, reference_weights
from harness.results import Result, Row, finish, parser_of

from streaming_metrics import FID, IS, Features, GenerativeMetrics
from streaming_metrics.extractors import InceptionV3
from streaming_metrics.statistics import Distinct, Moments
from streaming_metrics.statistics.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.extractors import Extractor

REACH, REPEATS_REACH, TOLERANCE = 0.01, 0.005, 1e-9
SIDES = 32, 256
BATCH, BATCHES = 64, 8


def bench(
    extractor: Extractor,
    images: int,
    side: int,
    width: int,
    classes: int,
    repeats: int,
    sides: Sequence[int] = SIDES,
) -> Result:
    warnings.simplefilter("ignore")
    pixels = draw_images(images, side, side)
    rows = draw_features(BATCH * BATCHES, width)
    batches = [Features(pool, torch.randn(BATCH, classes)) for pool in rows.split(BATCH)]
    metric = GenerativeMetrics([FID(), IS()], extractor=None, num_features=width, num_classes=classes)

    def update() -> None:
        metric.reset()
        for real in (True, False):
            for batch in batches:
                metric.update(batch, real=real)

    distinct, shown = Distinct(), {size: draw_images(BATCH, size, size) for size in sides}
    counted = {size: distinct.empty() for size in sides}

    def count(size: int) -> None:
        counted[size] = distinct.update(counted[size], Features(hashes=hashes_of(shown[size])))

    extractor(pixels)
    ceilings = Ceilings("dgemm", "sgemm", "copy")
    runs = {"network": lambda: extractor(pixels), "update": update}
    runs |= {f"distinct {size}": lambda size=size: count(size) for size in sides}
    timings = interleaved({**runs, **ceilings.candidates()}, repeats)
    result = Result(ceilings=ceilings.rates(timings))
    moments = Moments(width)
    covariance = moments.covariance(metric._states.local("real", 0).states[moments])
    result.agree("covariance, ours and NumPy's", covariance, np.cov(rows.double().numpy(), rowvar=False), TOLERANCE)
    network, ours = timings["network"].seconds / images, timings["update"].seconds / (2 * len(rows))
    note = share(2 * width**2, ours, result.ceilings["dgemm"], "dgemm")
    question = "moments and marginals an image, over Inception fp32"
    figures = f"{1e3 * ours:.3g} ms", f"{1e3 * network:.3g} ms, the network", ours / network
    result.rows.append(Row(question, *figures, REACH, at_most=True, unit="%", note=note))
    for size in sides:
        found = distinct.read(counted[size])
        result.agree(f"distinct images of {size} px", found.distinct, BATCH, 0, relative=False)
        ours = timings[f"distinct {size}"].seconds / BATCH
        question = f"hash and count of an image of {size} px, over Inception fp32"
        figures = f"{1e3 * ours:.3g} ms", f"{1e3 * network:.3g} ms, the network", ours / network
        note = share(shown[size].nbytes / BATCH, ours, result.ceilings["copy"], "copy")
        result.rows.append(Row(question, *figures, REPEATS_REACH, at_most=True, unit="%", note=note))
    return result


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", type=Path, help="of the reference Inception; random ones where none are given")
    options = parser.parse_args()
    with reference_weights(options.weights) as weights:
        extractor = InceptionV3(weights)
    finish(bench(extractor, options.images, options.side, WIDTH, CLASSES, options.repeats), __doc__, options.json)


if __name__ == "__main__":
    main()
