"""How fast is it on a GPU? Features, images to FID, the measures and an update, beside the peers in the same run.

    python benchmarks/gpu.py --images 50000 --side 256 --samples 10000 --large 50000 --page benchmarks/RESULTS-GPU.md

Needs CUDA; says so and ends where there is none. All read the same random weights and the same images, and take turns.
Peers run twice: as they come, where cuDNN rounds float32 factors to TF32, and with TF32 off, as ours is unless asked
for it. The same features on the CPU and on the device must give the same moments to 1e-9 and the same counts; the
network's float32 features must agree with the CPU's and the peers' to 1e-3. The share of the ceiling counts the
network's products alone. ``--large`` runs PRDC of that many samples a side, ours alone.
"""

from __future__ import annotations

import time
import warnings
from datetime import datetime, timezone
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
import torchvision
from harness.ceilings import GIGA, Ceilings, share
from harness.common import interleaved, machine
from harness.inputs import CLASSES, WIDTH, Given, draw_features, draw_images, reference_weights, uncached
from harness.page import markdown
from harness.results import HEAD, Result, Row, finish, parser_of, rate, reasons, seconds, tally
from inception import flops, peer_networks
from kid import same_subsets, torchmetrics_kid
from precision_recall import prdc

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics
from streaming_metrics.core import inputs
from streaming_metrics.extractors import Extractor, InceptionV3
from streaming_metrics.precision import full_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    Networks = Mapping[str, Callable[[Tensor], Tensor]]

SIDE, BATCH = 299, 256
MOMENTS, FEATURES, VALUES, ROUNDING = 1e-9, 1e-3, 1e-3, 1e-15
STATISTICS = {"moments": [FID()], "marginals": [IS()], "bank": [KID()]}
VARIANTS = {
    "fp32": {},
    "tf32": {"precision": "tf32"},
    "bf16": {"precision": "bf16"},
}
AGAINST = {"fp32": "fp32", "tf32": "tf32", "bf16": "tf32"}
"""Which arithmetic of the peers each of ours is set against: that of its name, or their own default."""
REACH = {"fp32": 2.0, "tf32": 2.0, "bf16": 2.5}
WITHIN = {"fp32": 20.0, "bf16": 6.0}
"""Seconds in which 50,000 images should come to FID."""
LARGE_WITHIN = 2.0


def bench(
    networks: Mapping[str, Extractor], peers: Networks, sizes: Mapping[str, int], work: float, device: str
) -> Result:
    """Return what was found.

    Args:
        networks: ours by variant, fp32 first.
        peers: theirs by name.
        sizes: ``batch``, ``side``, ``images``, ``samples``, ``large`` and ``width``.
        work: FLOP of an image.
        device: where all is run.
    """
    warnings.simplefilter("ignore")
    result = Result()
    agreement(result, sizes, device)
    of_features(result, networks, peers, sizes, work, device)
    of_epochs(result, networks, peers, sizes, device)
    of_measures(result, sizes, device)
    of_updates(result, sizes, device)
    return result


def of_features(
    result: Result,
    networks: Mapping[str, Extractor],
    peers: Networks,
    sizes: Mapping[str, int],
    work: float,
    device: str,
) -> None:
    """Images that are already there, to features."""
    pixels = draw_images(sizes["batch"], sizes["side"], sizes["side"])
    images, expected = pixels.to(device), networks["fp32"].to("cpu")(pixels[:2]).pool
    runs = {name: partial(pool_of, network.to(device), images) for name, network in networks.items()}
    theirs = {
        f"{name}, {p}": partial(at, p, device, net, images) for name, net in peers.items() for p in ("fp32", "tf32")
    }
    ceilings = Ceilings(device=device, side=4096 if device != "cpu" else 512)
    everyone = {name: waited(device, run) for name, run in {**runs, **theirs}.items()}
    for run in everyone.values():
        run()
    timings = interleaved({**everyone, **ceilings.candidates()}, 5)
    result.ceilings = ceilings.rates(timings)
    speed = {name: sizes["batch"] / timings[name].seconds for name in everyone}
    for name in networks:
        best = max((other for other in theirs if other.endswith(AGAINST[name])), key=lambda other: speed[other])
        gemm = "bf16 GEMM" if name == "bf16" else "sgemm"
        exact = max(speed[other] for other in theirs if other.endswith("fp32"))
        note = f"{share(work, 1 / speed[name], result.ceilings[gemm], gemm)}; {apart(timings, name):.0e} from fp32; "
        note += f"{speed[name] / exact:.2f}× the peers without TF32"
        figures = f"{speed[name]:.0f} img/s", f"{speed[best]:.0f} img/s, {best}", speed[name] / speed[best]
        result.rows.append(Row(f"features at {sizes['side']} px, {name}", *figures, REACH[name], note=note))
    on_device = timings["fp32"].result
    result.agree("features, device and CPU", on_device[:2].cpu(), expected, FEATURES)
    for name in (name for name in theirs if name.endswith("fp32")):
        result.agree(f"features, ours and {name}", on_device, timings[name].result, FEATURES)


def apart(timings: Mapping[str, Any], name: str) -> float:
    """Return how far a variant's features are from those in float32."""
    found, exact = timings[name].result, timings["fp32"].result
    return float((found - exact).norm() / exact.norm())


def pool_of(network: Extractor, images: Tensor) -> Any:
    return network(images).pool


def at(precision: str, device: str, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return a peer's features, with TF32 or without."""
    with full_precision(torch.device(device), tf32=precision == "tf32"):
        return network(images)


def of_epochs(
    result: Result, networks: Mapping[str, Extractor], peers: Networks, sizes: Mapping[str, int], device: str
) -> None:
    """Images in host memory, pinned or not, to FID."""
    count = sizes["images"]
    pageable = draw_images(min(8 * sizes["batch"], count), sizes["side"], sizes["side"])
    memory = {"pinned": pageable.pin_memory() if device != "cpu" else pageable, "pageable": pageable}
    took, values = {}, {}
    for name, network in networks.items():
        metric = GenerativeMetrics([FID()], network).to(device)
        for batch in pageable.split(sizes["batch"]):
            metric.update(batch.flip(3), real=True)
        metric.freeze_real()
        for kind in memory if name == "bf16" else ("pinned",):
            took[name, kind], values[name] = epoch_of(metric, memory[kind], sizes)
        if name == "bf16":
            with mock.patch.object(inputs, "_check_values"):
                took[name, "unchecked"], _ = epoch_of(metric, memory["pinned"], sizes)
    theirs = {}
    for name, network in peers.items() if device != "cpu" else ():
        theirs[name] = peer_epoch(network, memory["pinned"], sizes, device)
    best = min(theirs, key=lambda name: theirs[name], default="")
    unchecked = took.pop(("bf16", "unchecked"), None)
    for (name, kind), time_taken in took.items():
        figures = seconds(time_taken), f"{seconds(theirs[best])}, {best}" if best else "", time_taken
        reach = WITHIN.get(name, 20.0) * count / 50_000
        note = f"{count / time_taken:.0f} img/s; {theirs[best] / time_taken:.2f}× the peer" if best else ""
        what = f"{count} images to FID, {name}, {kind}"
        result.rows.append(Row(what, *figures, reach, at_most=True, unit="s", note=note))
    if unchecked:
        more = took["bf16", "pinned"] / unchecked - 1
        result.notes.append(f"waiting in each update until features are known to be finite: {more:.1%}")
    result.notes.append("FID by variant: " + ", ".join(f"{name} {value:.6g}" for name, value in values.items()))


def epoch_of(metric: GenerativeMetrics, images: Tensor, sizes: Mapping[str, int]) -> tuple[float, float]:
    """Return the seconds that an epoch's images take to FID, and FID."""
    metric.reset()
    start = time.perf_counter()
    for batch in batches(images, sizes):
        metric.update(batch, real=False)
    value = float(*metric.compute().values())
    return time.perf_counter() - start, value


def peer_epoch(network: Any, images: Tensor, sizes: Mapping[str, int], device: str) -> float:
    """Return the seconds that torchmetrics' FID takes over a peer's network, TF32 as it comes."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    holder = Held(network)
    metric = FrechetInceptionDistance(holder, reset_real_features=False).to(device)
    for batch in images.split(sizes["batch"]):
        metric.update(batch.flip(3).to(device), real=True)
    with full_precision(torch.device(device), tf32=True):
        start = time.perf_counter()
        for batch in batches(images, sizes):
            metric.update(batch.to(device, non_blocking=True), real=False)
        float(metric.compute())
    return time.perf_counter() - start


class Held(torch.nn.Module):
    """A peer's network as torchmetrics takes one."""

    num_features = WIDTH

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def batches(images: Tensor, sizes: Mapping[str, int]) -> Iterator[Tensor]:
    """Yield as many images as an epoch has, the same few over and over."""
    return islice(cycle(images.split(sizes["batch"])), -(-sizes["images"] // sizes["batch"]))


def of_measures(result: Result, sizes: Mapping[str, int], device: str) -> None:
    """Features that are already there, to values."""
    samples, width = sizes["samples"], sizes["width"]
    sides = draw_features(samples, width), draw_features(samples, width, seed=1, shift=0.1)
    subsets, size = (100, 1000) if samples >= 1000 else (2, samples // 2)
    measures = {"FID": FID(), "KID": same_subsets(subsets, size), "PRDC": PRDC()}
    ours = {name: on(device, measure, *sides).compute for name, measure in measures.items()}
    theirs = {
        "torchmetrics FID": torchmetrics_fid(*(rows.to(device) for rows in sides)),
        "torchmetrics KID": torchmetrics_kid(*(rows.to(device) for rows in sides), subsets, size),
        "prdc on the CPU": partial(prdc, *sides, 5),
    }
    ran = {name: waited(device, run) for name, run in {**ours, **theirs}.items()}
    for name in ran.keys() - {"prdc on the CPU"}:
        ran[name]()
    timings = interleaved(ran, 3, at_most=dict.fromkeys(theirs, 1))
    for name, peer in zip(ours, theirs):
        took, other = timings[name].seconds, timings[peer].seconds
        result.rows.append(
            Row(f"{name} of {samples} + {samples}", seconds(took), f"{seconds(other)}, {peer}", other / took, 1.4)
        )
        expected = timings[peer].result
        found = {key.removesuffix("_features"): float(value) for key, value in timings[name].result.items()}
        theirs_in_order = [expected[key] for key in found] if isinstance(expected, dict) else expected
        result.agree(f"{name}, ours and {peer}", list(found.values()), theirs_in_order, VALUES)
    if sizes["large"]:
        large(result, sizes["large"], width, device)


def large(result: Result, samples: int, width: int, device: str) -> None:
    metric = on(device, PRDC(), *(draw_features(samples, width, seed=seed, shift=0.1 * seed) for seed in (0, 1)))
    run = waited(device, metric.compute)
    run()
    before = 0
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    took = interleaved({"PRDC": run}, 2)["PRDC"].seconds
    beyond = torch.cuda.max_memory_allocated() - before if device != "cpu" else 0
    ceiling = result.ceilings["bf16 GEMM"]
    note = f"{share(4 * samples**2 * width, took, ceiling, 'bf16 GEMM')}; {beyond / GIGA:.2f} GB beyond the banks"
    what = f"PRDC of {samples} + {samples}"
    result.rows.append(Row(what, seconds(took), "", took, LARGE_WITHIN, at_most=True, unit="s", note=note))


def torchmetrics_fid(real: Tensor, fake: Tensor) -> Callable[[], Any]:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(Given(real.shape[1])).to(real.device)
    for rows, is_real in ((real, True), (fake, False)):
        metric.update(rows, real=is_real)
    return lambda: uncached(metric)


def of_updates(result: Result, sizes: Mapping[str, int], device: str) -> None:
    """What a batch of features costs, over that of its images."""
    runs = {name: waited(device, update_of(measures, sizes["width"], device)) for name, measures in STATISTICS.items()}
    for run in runs.values():
        run()
    timings = interleaved(runs, 5)
    told = ", ".join(f"{name} {timing.seconds * 1e3:.2f} ms" for name, timing in timings.items())
    result.notes.append(f"an update of {BATCH} samples: {told}")


def agreement(result: Result, sizes: Mapping[str, int], device: str) -> None:
    """Check that features given on the device and on the CPU give the same states and counts."""
    some = [draw_features(min(sizes["samples"], 2000), sizes["width"], seed=seed, shift=0.1 * seed) for seed in (0, 1)]
    moments = [on(where, FID(), *some).metric_state for where in (device, "cpu")]
    for name, state in ((name, state) for name, state in moments[0].items() if "moments" in name):
        result.agree(f"{name}, device and CPU", state.cpu(), moments[1][name], MOMENTS)
    counts = [list(on(where, PRDC(), *some).compute().values()) for where in (device, "cpu")]
    result.agree("PRDC, device and CPU", torch.stack(counts[0]), torch.stack(counts[1]), ROUNDING)


def on(device: str, measure: Any, real: Tensor, fake: Tensor) -> GenerativeMetrics:
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


def page(result: Result, card: str) -> str:
    """Return the result as a page."""
    import torchmetrics

    versions = (
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, torchmetrics {torchmetrics.__version__}"
    )
    return "\n".join(
        [
            "# How fast it is on a GPU\n",
            f"{card}. {machine()}; {versions}. {datetime.now(timezone.utc):%Y-%m-%d}.\n",
            f"`python benchmarks/gpu.py --page …` wrote this: {tally(result.rows)}. {_HOW}\n",
            markdown(HEAD, [row.cells() for row in result.rows]),
            *(f"\n{reason}" for reason in reasons(result.rows)),
            "\nCeilings: " + ", ".join(rate(*ceiling) for ceiling in result.ceilings.items()) + ".\n",
            *(f"- {line}" for line in [*result.notes, *result.checks]),
            "",
        ]
    )


_HOW = (
    "Candidates take turns in one process on the same inputs. In float32 nobody passes the sgemm ceiling, which is "
    "less than twice what the peers reach: twice as fast takes TF32, which is what they run in unless told otherwise, "
    "or bfloat16."
)


def card_of() -> str:
    """Return the card and its driver."""
    import subprocess

    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    name, driver, memory = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().split(", ")
    return f"{name} ({memory}), driver {driver}"


def main() -> None:
    parser = parser_of(__doc__)
    for name, usual in (("images", 10_000), ("side", 256), ("batch", BATCH), ("samples", 10_000), ("large", 0)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--weights", type=Path, help="of the reference Inception; random ones where none are given")
    parser.add_argument("--page", type=Path, help="also write the results there, as Markdown")
    o = parser.parse_args()
    if not torch.cuda.is_available():
        print("No CUDA device here: nothing to measure.")
        return
    sizes = {name: getattr(o, name) for name in ("images", "side", "batch", "samples", "large")} | {"width": WIDTH}
    with reference_weights(o.weights) as weights, torch.no_grad():
        networks = {name: InceptionV3(weights, **options) for name, options in VARIANTS.items()}
        work = flops(peer_networks(weights)["torch-fidelity"], draw_images(1, SIDE, SIDE))
        result = bench(networks, peer_networks(weights, "cuda"), sizes, work, "cuda")
    finish(result, __doc__, o.json)
    if o.page is not None:
        o.page.write_text(page(result, card_of()))


if __name__ == "__main__":
    main()
