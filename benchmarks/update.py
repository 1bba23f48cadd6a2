"""What do the running statistics cost beside the network? Moments and marginals an image, over Inception's own time.

    python benchmarks/update.py --images 16 --side 64 --repeats 3

The metric is given features of the reference's widths in batches of 64, real and generated, as FID and IS need them;
Inception runs in float32 on images. The moments must agree with NumPy's covariance to 1e-9. The share of the ceiling
counts the covariance's products.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from ceilings import Ceilings, share
from common import interleaved
from inputs import CLASSES, WIDTH, draw_features, draw_images, reference_weights
from results import Result, Row, finish, parser_of

from streaming_metrics import FID, IS, Features, GenerativeMetrics
from streaming_metrics.extractors import InceptionV3
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from streaming_metrics.extractors import Extractor

REACH, TOLERANCE = 0.01, 1e-9
BATCH, BATCHES = 64, 8


def bench(extractor: Extractor, images: int, side: int, width: int, classes: int, repeats: int) -> Result:
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

    extractor(pixels)
    ceilings = Ceilings("dgemm", "sgemm", "copy")
    runs = {"network": lambda: extractor(pixels), "update": update}
    timings = interleaved({**runs, **ceilings.candidates()}, repeats)
    result = Result(ceilings=ceilings.rates(timings))
    moments = Moments(width)
    covariance = moments.covariance(metric._states("real")[moments])
    result.agree("covariance, ours and NumPy's", covariance, np.cov(rows.double().numpy(), rowvar=False), TOLERANCE)
    network, ours = timings["network"].seconds / images, timings["update"].seconds / (2 * len(rows))
    note = share(2 * width**2, ours, result.ceilings["dgemm"], "dgemm")
    question = "moments and marginals an image, over Inception fp32"
    figures = f"{1e3 * ours:.3g} ms", f"{1e3 * network:.3g} ms, the network", ours / network
    result.rows.append(Row(question, *figures, REACH, at_most=True, unit="%", note=note))
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
