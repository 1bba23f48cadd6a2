"""What does an epoch's report cost, images to numbers? FID, KID, IS and PRDC, beside torchmetrics and prdc.

    python benchmarks/epoch.py --images 256 --side 64

torchmetrics runs FID, KID and IS, each with its own Inception, then prdc on the features that KID kept; ours one
forward pass. Then a second epoch, the real side frozen on both sides. All read the same random weights, resize with
antialias, and see the same batches: the libraries take turns batch by batch, so that one epoch of each is enough. FID
and IS (one split: torchmetrics shuffles) must agree to 1e-3, KID over the same subsets to 1e-2, counts of PRDC to
2·k images. Says what bfloat16 does to FID.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from harness.ceilings import GIGA, Ceilings, limit
from harness.common import in_steps, interleaved
from harness.inputs import draw_images, our_precisions, reference_weights
from harness.results import Result, Row, finish, parser_of, seconds
from inception import GEMM, flops
from kid import SEED, same_subsets

from streaming_metrics import FID, IS, PRDC, GenerativeMetrics
from streaming_metrics.extractors import Extractor, InceptionV3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

BATCH, SUBSETS, K = 32, 100, 5
REACH = {"fp32": (5.0, 6.0), "bf16": (8.0, 10.0)}
TOLERANCES = {"fid": 1e-3, "is": 1e-3, "kid": 1e-2, "kid_std": 1e-2}
PEER = "torchmetrics, prdc"


@dataclass(frozen=True)
class Networks:
    """What both sides run.

    Args:
        ours: extractors, float32 first.
        theirs: makes a network of its own for each metric, of features or of logits.
    """

    ours: Sequence[Extractor]
    theirs: Callable[[str], nn.Module]


def inception(weights: Path) -> Networks:
    """Return the reference network, resized as torchmetrics does."""
    from torchmetrics.image.fid import NoTrainInceptionV3

    ours = [InceptionV3(weights, resize="torch-antialias", **options) for options in our_precisions()]
    return Networks(ours, lambda layer: NoTrainInceptionV3("inception", [layer], str(weights)))


class Ours:
    """Our epochs, step by step."""

    def __init__(self, network: Extractor, subset_size: int, k: int) -> None:
        measures = [FID(), same_subsets(SUBSETS, subset_size), IS(splits=1), PRDC(k=k)]
        self.metric = GenerativeMetrics(measures, network)

    def epoch(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Iterator[Any]:
        """Freeze the real side at the end, as the monitor does; without real images it already is."""
        self.metric.reset()
        for images, is_real in [(images, True) for images in real] + [(images, False) for images in fake]:
            yield self.metric.update(images, real=is_real)
        if real:
            self.metric.freeze_real()
        canonical = [key for measure in self.metric.measures for key in measure.keys]
        yield {key: float(value) for key, value in zip(canonical, self.metric.compute().values())}


class Theirs:
    """The peers' epochs, step by step."""

    def __init__(self, network: Callable[[str], nn.Module], subset_size: int, k: int) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.inception import InceptionScore
        from torchmetrics.image.kid import KernelInceptionDistance

        self.fid = FrechetInceptionDistance(network("2048"), reset_real_features=False)
        kept = {"subsets": SUBSETS, "subset_size": subset_size, "reset_real_features": False}
        self.kid = KernelInceptionDistance(network("2048"), **kept)
        self.score = InceptionScore(network("logits_unbiased"), splits=1)
        self.k = k

    def epoch(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Iterator[Any]:
        for metric in (self.fid, self.kid, self.score):
            metric.reset()
        for images, is_real in [(images, True) for images in real] + [(images, False) for images in fake]:
            for metric in (self.fid, self.kid):
                metric.update(images, real=is_real)
            if not is_real:
                self.score.update(images)
            yield None
        torch.manual_seed(SEED)
        kid, kid_std = self.kid.compute()
        values = {"fid": self.fid.compute(), "kid": kid, "kid_std": kid_std, "is": self.score.compute()[0]}
        yield {key: float(value) for key, value in values.items()} | self.prdc()

    def prdc(self) -> dict[str, float]:
        from prdc import compute_prdc

        real, fake = (torch.cat(list(rows)).numpy() for rows in (self.kid.real_features, self.kid.fake_features))
        with contextlib.redirect_stdout(io.StringIO()):
            return compute_prdc(real, fake, nearest_k=self.k)


def bench(networks: Networks, images: int, side: int, batch: int = BATCH, k: int = K) -> Result:
    warnings.simplefilter("ignore")
    real = draw_images(images, side, side, seed=1)
    fake = (draw_images(images, side, side, seed=2) * 0.8).to(torch.uint8)
    ours = {network.precision: Ours(network, images // 2, k) for network in networks.ours}
    everyone = {**ours, PEER: Theirs(networks.theirs, images // 2, k)}
    ceilings = Ceilings()
    result = Result(ceilings=ceilings.rates(interleaved(ceilings.candidates(), 3)))
    work = images * flops(networks.theirs("2048"), real[:1])
    for epoch, given in enumerate([real.split(batch), []], start=1):
        steps = {name: one.epoch(given, fake.split(batch)) for name, one in everyone.items()}
        timings = in_steps(steps)
        took = {name: sum(timing.turns) for name, timing in timings.items()}
        check(result, epoch, timings["fp32"].result, timings[PEER].result, 2 * k / images)
        for name in ours:
            question = f"epoch {epoch}, {images} + {images} images, {name}" + (
                ", real side frozen" if epoch > 1 else ""
            )
            figures = seconds(took[name]), seconds(took[PEER]), took[PEER] / took[name]
            ceiling = GEMM[name]
            part = work * (1 + bool(given)) / took[name] / GIGA / result.ceilings[ceiling]
            note, struck = f"{part:.0%} of {ceiling}", limit(part, figures[-1], ceiling)
            result.rows.append(Row(question, *figures, REACH[name][epoch - 1], note=note, struck=struck))
        if "bf16" in ours:
            fids = [timings[name].result["fid"] for name in ("fp32", "bf16")]
            result.notes.append(f"epoch {epoch}: bf16 moves FID by {fids[1] / fids[0] - 1:+.1e}")
    result.notes += [f"{name}: {one.metric.signature().rpartition('|ext:')[2]}" for name, one in ours.items()]
    return result


def check(result: Result, epoch: int, ours: dict[str, float], theirs: dict[str, float], tolerance: float) -> None:
    for key, value in theirs.items():
        agree = partial(result.agree, f"epoch {epoch}: {key}", ours[key], value)
        if key in TOLERANCES:
            agree(TOLERANCES[key])
        else:
            agree(tolerance, relative=False)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--weights", type=Path, help="of the reference Inception; random ones where none are given")
    options = parser.parse_args()
    with reference_weights(options.weights) as weights:
        result = bench(inception(weights), options.images, options.side)
    finish(result, __doc__, options.json)


if __name__ == "__main__":
    main()
