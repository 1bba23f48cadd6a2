"""How fast is it on a GPU? Images a second, share of the device's products, the update's share, PRDC, agreement.

    python benchmarks/gpu.py --images 256 --side 256 --samples 10000

Needs CUDA; says so and ends where there is none. The same features on the CPU and on the device must give the same
moments to 1e-9 and the same counts, and the network's float32 features must agree to 1e-3. Products are measured on
the device in turn with the rest.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from harness.ceilings import GIGA, Ceilings
from harness.common import interleaved, table
from harness.inputs import CLASSES, WIDTH, draw_features, draw_images, our_precisions, reference_weights
from harness.results import Result, finish, parser_of, seconds
from inception import flops, peer_networks

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics
from streaming_metrics.extractors import Extractor, InceptionV3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BATCH, SIDE = 64, 299
MOMENTS, FEATURES = 1e-9, 1e-3
STATISTICS = {"moments": [FID()], "marginals": [IS()], "bank": [KID()]}


def bench(
    extractors: Sequence[Extractor], work: int, images: int, side: int, samples: int, width: int, device: str
) -> Result:
    """Return what was found on ``device``; ``work`` is the FLOP of an image."""
    warnings.simplefilter("ignore")
    pixels, host = draw_images(images, side, side), {}
    on_device = pixels.to(device)
    ceilings = Ceilings(device=device, side=4096 if device != "cpu" else 512)
    networks = {e.precision: e for e in extractors}
    for name, network in networks.items():
        host[name] = network.to("cpu")(pixels[:2]).pool if name == "fp32" else None
        network.to(device)(on_device[:BATCH])
    runs = {name: waited(device, lambda n=n: [n(b) for b in on_device.split(BATCH)]) for name, n in networks.items()}
    runs |= {name: waited(device, update_of(measures, width, device)) for name, measures in STATISTICS.items()}
    sides = draw_features(samples, width), draw_features(samples, width, seed=1, shift=0.1)
    runs["PRDC"] = waited(device, on(device, PRDC(), *sides).compute)
    timings = interleaved({**runs, **ceilings.candidates()}, 3)
    result = Result(ceilings=ceilings.rates(timings))
    took = {name: timing.seconds for name, timing in timings.items()}
    lines = [["PRDC", seconds(took["PRDC"]), f"{samples} + {samples}, {width} features"]]
    for name in networks:
        gemm = "bf16 GEMM" if name == "bf16" else "sgemm"
        part = work * images / took[name] / GIGA / result.ceilings[gemm]
        lines.append([f"features, {name}", f"{images / took[name]:.0f} img/s", f"{part:.0%} of {gemm}"])
    network = took["fp32"] / images
    lines += [[name, f"{took[name] / BATCH / network:.2%}", "of fp32's time, an image"] for name in STATISTICS]
    result.notes.append(table(["what", "figure", ""], lines))
    result.agree("features, device and CPU", networks["fp32"](on_device[:2]).pool.cpu(), host["fp32"], FEATURES)
    agreement(result, sides, device)
    return result


def agreement(result: Result, sides: tuple[torch.Tensor, torch.Tensor], device: str) -> None:
    """Check that features given on the device and on the CPU give the same states and counts."""
    some = [rows[:2000] for rows in sides]
    moments = [on(where, FID(), *some).metric_state for where in (device, "cpu")]
    for name, state in ((name, state) for name, state in moments[0].items() if "moments" in name):
        result.agree(f"{name}, device and CPU", state.cpu(), moments[1][name], MOMENTS)
    counts = [list(on(where, PRDC(), *some).compute().values()) for where in (device, "cpu")]
    result.agree("PRDC, device and CPU", torch.stack(counts[0]).cpu(), torch.stack(counts[1]), 0.0)


def on(device: str, measure: Any, real: torch.Tensor, fake: torch.Tensor) -> GenerativeMetrics:
    """Return a metric on a device that has seen both sides."""
    metric = GenerativeMetrics([measure], extractor=None, num_features=real.shape[1]).to(device)
    for rows, is_real in ((real, True), (fake, False)):
        metric.update(rows.to(device), real=is_real)
    return metric


def update_of(measures: Sequence[Any], width: int, device: str) -> Callable[[], Any]:
    """Return the update of a batch of features on the device."""
    metric = GenerativeMetrics(measures, extractor=None, num_features=width, num_classes=CLASSES).to(device)
    batch = Features(draw_features(BATCH, width).to(device), torch.randn(BATCH, CLASSES, device=device))
    metric.update(batch, real=False)

    def update() -> None:
        metric.reset()
        metric.update(batch, real=False)

    return update


def waited(device: str, run: Callable[[], Any]) -> Callable[[], Any]:
    """Return ``run``, and a wait for the device to have done it."""

    def done() -> Any:
        result = run()
        if device != "cpu":
            torch.cuda.synchronize()
        return result

    return done


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--weights", type=Path, help="of the reference Inception; random ones where none are given")
    o = parser.parse_args()
    if not torch.cuda.is_available():
        print("No CUDA device here: nothing to measure.")
        return
    with reference_weights(o.weights) as weights, torch.no_grad():
        extractors = [InceptionV3(weights, **options) for options in our_precisions()]
        work = flops(peer_networks(weights)["torch-fidelity"], draw_images(1, SIDE, SIDE))
    finish(bench(extractors, work, o.images, o.side, o.samples, WIDTH, "cuda"), __doc__, o.json)


if __name__ == "__main__":
    main()
