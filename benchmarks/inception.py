"""How fast are Inception features? Ours in float32 and bfloat16 beside torch-fidelity and torchmetrics.

    python benchmarks/inception.py --images 32 --sides 32 256 --repeats 3

All read the same random weights, resize as TensorFlow 1 did, and see the same images, in turn; float32 features must
agree to 1e-4. The share of the ceiling counts the reference network's products alone, 11 GFLOP an image, over the whole
time. What bfloat16 does to FID, benchmarks/epoch.py shows.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from harness.ceilings import GIGA, Ceilings, limit
from harness.common import interleaved
from harness.inputs import draw_images, our_precisions, reference_weights
from harness.results import Result, Row, finish, parser_of
from torch.utils.flop_counter import FlopCounterMode

from streaming_metrics.extractors import InceptionV3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.common import Timing
    from torch import Tensor

    Network = Callable[[Tensor], Tensor]

SIDES = [32, 256]
GEMM = {"fp32": "sgemm", "bf16": "bf16 GEMM"}
REACH = {"fp32": 2.0, "bf16": 3.5}
SGEMM_REACH, TOLERANCE = 0.95, 1e-4


def our_networks(weights: Path) -> dict[str, Network]:
    """Return ours by precision."""
    extractors = [InceptionV3(weights, **options) for options in our_precisions()]
    return {e.precision: lambda images, e=e: e(images).pool for e in extractors}


def peer_networks(weights: Path, device: str = "cpu") -> dict[str, Network]:
    """Return the peers by name, on a device."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torchmetrics.image.fid import NoTrainInceptionV3

    fidelity = FeatureExtractorInceptionV3("inception", ["2048"], str(weights)).to(device)
    torchmetrics = NoTrainInceptionV3("inception", ["2048"], str(weights), antialias=False).to(device)
    return {"torch-fidelity": lambda images: fidelity(images)[0], "torchmetrics": torchmetrics}


@torch.no_grad()
def bench(
    ours: Mapping[str, Network], peers: Mapping[str, Network], images: int, sides: Sequence[int], repeats: int
) -> Result:
    """Return rows for each side of the images; ``ours`` by precision, fp32 first, the ``peers`` by name."""
    result, ceilings = Result(), Ceilings()
    work = flops(next(iter(peers.values())), draw_images(1, sides[0], sides[0])) * images
    for side in sides:
        batch = draw_images(images, side, side)
        everyone = {**ours, **peers}
        for network in everyone.values():
            network(batch[:1])
        runs = {name: partial(network, batch) for name, network in everyone.items()}
        timings = interleaved({**runs, **ceilings.candidates()}, repeats)
        result.ceilings = ceilings.rates(timings)
        for peer in peers:
            features = (timings[name].result for name in ("fp32", peer))
            result.agree(f"features at {side} px, fp32 and {peer}", *features, TOLERANCE)
        apart = {name: float((timings[name].result - timings["fp32"].result).norm()) for name in ours}
        size = float(timings["fp32"].result.norm())
        result.notes += [f"{name} features at {side} px: {d / size:.1e} from fp32" for name, d in apart.items() if d]
        result.rows += rows_of(side, images, work, timings, list(ours), list(peers), result.ceilings)
    return result


def rows_of(
    side: int,
    images: int,
    work: float,
    timings: Mapping[str, Timing],
    ours: Sequence[str],
    peers: Sequence[str],
    ceilings: Mapping[str, float],
) -> list[Row]:
    best = min(peers, key=lambda name: timings[name].seconds)
    speed = {name: images / timings[name].seconds for name in (*ours, *peers)}
    theirs, rows = f"{speed[best]:.1f} img/s, {best}", []
    for name in ours:
        ceiling = GEMM[name]
        part = work / timings[name].seconds / GIGA / ceilings[ceiling]
        figures = f"{speed[name]:.1f} img/s", theirs, speed[name] / speed[best]
        note, struck = f"{part:.0%} of {ceiling}", limit(part, figures[-1], ceiling)
        rows.append(Row(f"Inception features, {name}, {side} px", *figures, REACH[name], note=note, struck=struck))
        if name == "fp32":
            reached = f"{work / timings[name].seconds / GIGA:.0f} GFLOP/s", f"{ceilings[ceiling]:.0f} GFLOP/s"
            rows.append(Row(f"share of the sgemm ceiling, {side} px", *reached, part, SGEMM_REACH, unit="%"))
    return rows


def flops(network: Any, images: Tensor) -> int:
    """Return the floating-point operations of a network's products."""
    with FlopCounterMode(display=False) as counter:
        network(images)
    return counter.get_total_flops()


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", type=Path, help="of the reference Inception; random ones where none are given")
    options = parser.parse_args()
    with reference_weights(options.weights) as weights:
        networks = our_networks(weights), peer_networks(weights)
    finish(bench(*networks, options.images, options.sides, options.repeats), __doc__, options.json)


if __name__ == "__main__":
    main()
