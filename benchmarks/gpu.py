"""How fast is it on a GPU? Features, images to FID, the measures and an update, beside the peers in the same run.

    python benchmarks/gpu.py --images 50000 --side 256 --samples 10000 --large 50000 --page benchmarks/RESULTS-GPU.md
    python benchmarks/gpu.py --device cpu --tiny

Needs CUDA; says so and ends where there is none. The second line runs all of it on the CPU, at sizes that say nothing
of speed, to see that it runs. All read the same random weights and the same images, and take turns.
Peers run twice: as they come, where cuDNN rounds float32 factors to TF32, and with TF32 off, as ours is unless asked
for it. The same features on the CPU and on the device must give the same moments to 1e-9 and the same counts; the
network's float32 features must agree with the CPU's and the peers' to 1e-3. The share of the ceiling counts the
network's products alone. ``--large`` runs PRDC of that many samples a side, ours alone. ``--compiled`` adds the
bfloat16 network compiled, and as a CUDA graph.
"""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager, nullcontext
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

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics, deferred
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
AGAINST = {"tf32": "tf32"}
"""Which arithmetic of the peers each of ours is set against: float32, unless TF32, their own default."""
REACH = {"fp32": 2.0, "tf32": 2.0, "bf16": 6.0}
WITHIN = {"fp32": 20.0, "bf16": 6.0}
"""Seconds in which 50,000 images should come to FID."""
LARGE_WITHIN = 2.0
TINY = {"images": 4, "side": 32, "batch": 2, "samples": 40, "large": 60}


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
    of_roots(result, sizes, device)
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
    if sizes.get("compiled"):
        runs |= {f"bf16, {how}": made(networks["bf16"], images) for how, made in BY_HAND.items()}
    theirs = {
        f"{name}, {p}": partial(at, p, device, net, images) for name, net in peers.items() for p in ("fp32", "tf32")
    }
    ceilings = Ceilings(device=device, side=4096 if device != "cpu" else 64)
    everyone = {name: waited(device, run) for name, run in {**runs, **theirs}.items()}
    for run in everyone.values():
        run()
    timings = interleaved({**everyone, **ceilings.candidates()}, 5)
    result.ceilings = ceilings.rates(timings)
    speed = {name: sizes["batch"] / timings[name].seconds for name in everyone}
    best_of = {p: max((t for t in theirs if t.endswith(p)), key=lambda other: speed[other]) for p in ("fp32", "tf32")}
    for name in runs:
        own, gemm = name.partition(",")[0], "bf16 GEMM" if name.startswith("bf16") else "sgemm"
        best = best_of[AGAINST.get(own, "fp32")]
        note = f"{share(work, 1 / speed[name], result.ceilings[gemm], gemm)}; {apart(timings, name):.0e} from fp32; "
        note += ", ".join(f"{speed[name] / speed[t]:.2f}× the peers in {p}" for p, t in best_of.items())
        figures = f"{speed[name]:.0f} img/s", f"{speed[best]:.0f} img/s, {best}", speed[name] / speed[best]
        result.rows.append(Row(f"features at {sizes['side']} px, {name}", *figures, REACH[own], note=note))
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


def compiled(network: Extractor, images: Tensor) -> Callable[[], Any]:
    """Return the features of a network that is compiled for these images; on a CPU traced alone."""
    backend = "inductor" if images.is_cuda else "eager"
    made = torch.compile(partial(pool_of, network), dynamic=False, backend=backend)
    return lambda: made(images)


def graphed(network: Extractor, images: Tensor) -> Callable[[], Any]:
    """Return the features of a batch whose launches are one CUDA graph; on a CPU launched as they come."""
    if not images.is_cuda:
        return partial(pool_of, network, images)
    given, graph, aside = images.clone(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            pool_of(network, given)
    torch.cuda.current_stream().wait_stream(aside)
    with torch.cuda.graph(graph):
        pool = pool_of(network, given)

    def run() -> Any:
        given.copy_(images)
        graph.replay()
        return pool.clone()

    return run


BY_HAND: dict[str, Callable[[Extractor, Tensor], Callable[[], Any]]] = {"compiled": compiled, "CUDA graph": graphed}


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
            more_of_updates(result, metric, memory["pinned"], sizes)
    theirs = {}
    for name, network in peers.items():
        theirs[name] = peer_epoch(network, memory["pinned"], sizes, device)
    best = min(theirs, key=lambda name: theirs[name])
    for (name, kind), time_taken in took.items():
        figures = seconds(time_taken), f"{seconds(theirs[best])}, {best}", time_taken
        reach = WITHIN.get(name, 20.0) * count / 50_000
        note = f"{count / time_taken:.0f} img/s; {theirs[best] / time_taken:.2f}× the peer"
        what = f"{count} images to FID, {name}, {kind}"
        result.rows.append(Row(what, *figures, reach, at_most=True, unit="s", note=note))
    result.notes.append("FID by variant: " + ", ".join(f"{name} {value:.6g}" for name, value in values.items()))


def epoch_of(metric: GenerativeMetrics, images: Tensor, sizes: Mapping[str, int]) -> tuple[float, float]:
    """Return the seconds that an epoch's images take to FID, and FID."""
    metric.reset()
    start = time.perf_counter()
    for batch in batches(images, sizes):
        metric.update(batch, real=False)
    value = float(*metric.compute().values())
    return time.perf_counter() - start, value


def more_of_updates(result: Result, metric: GenerativeMetrics, images: Tensor, sizes: Mapping[str, int]) -> None:
    """What checks of features cost: held back until the device has answered, and waited for in each update."""
    kinds = {
        "held back": nullcontext(),
        "waited for": mock.patch.object(deferred, "is_away", return_value=False),
        "not made": mock.patch.object(inputs, "_check_values", return_value={}),
    }
    took = {}
    for kind, patch in kinds.items():
        with patch:
            took[kind], _ = epoch_of(metric, images, sizes)
    more = ", ".join(f"{kind} {took[kind] / took['not made'] - 1:+.1%}" for kind in ("held back", "waited for"))
    result.notes.append(f"an epoch, until features are known to be finite, beside one that does not ask: {more}")


def peer_epoch(network: Any, images: Tensor, sizes: Mapping[str, int], device: str) -> float:
    """Return the seconds that torchmetrics' FID takes over a peer's network, TF32 as it comes."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    holder = Held(network, images[:1].to(device))
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

    def __init__(self, network: Callable[[Tensor], Tensor], image: Tensor) -> None:
        super().__init__()
        self.network, self.num_features = network, network(image).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def batches(images: Tensor, sizes: Mapping[str, int]) -> Iterator[Tensor]:
    """Yield as many images as an epoch has, the same few over and over."""
    return islice(cycle(images.split(sizes["batch"])), -(-sizes["images"] // sizes["batch"]))


def of_roots(result: Result, sizes: Mapping[str, int], device: str) -> None:
    """The eigenvalues that FID needs, in float64, on the device and on the CPU."""
    rows = draw_features(max(2 * sizes["width"], sizes["samples"]), sizes["width"]).double()
    matrices = {where: (rows.T @ rows).to(where) for where in dict.fromkeys((device, "cpu"))}
    runs = {where: waited(where, partial(torch.linalg.eigvalsh, matrix)) for where, matrix in matrices.items()}
    for run in runs.values():
        run()
    timings = interleaved(runs, 3)
    here, there = timings["cpu"], timings[device]
    result.agree("eigenvalues, device and CPU", there.result, here.result, MOMENTS)
    figures = seconds(there.seconds), f"{seconds(here.seconds)}, CPU", here.seconds / there.seconds
    result.rows.append(Row(f"eigenvalues of {sizes['width']} x {sizes['width']}, float64", *figures, 1.0))


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
    if device != "cpu":
        result.notes.append(f"waits for the device in an update of all of these: {waits(sizes['width'], device)}")


def waits(width: int, device: str) -> int:
    """Return how often CUDA says that an update waited for the device."""
    update = update_of([measure for some in STATISTICS.values() for measure in some], width, device)
    update()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        update()
    torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in told)


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


def card_of(device: str) -> str:
    """Return the card and its driver."""
    import subprocess

    if device == "cpu":
        return "No card: the CPU, at sizes that say nothing of speed"
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    name, driver, memory = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().split(", ")
    return f"{name} ({memory}), driver {driver}"


@contextmanager
def candidates(weights: Path | None, device: str) -> Iterator[tuple[dict[str, Extractor], Networks, float]]:
    """Yield our networks by variant, the peers by name, and the FLOP of an image."""
    with reference_weights(weights) as path:
        networks: dict[str, Extractor] = {name: InceptionV3(path, **options) for name, options in VARIANTS.items()}
        yield (
            networks,
            peer_networks(path, device),
            flops(peer_networks(path)["torch-fidelity"], draw_images(1, SIDE, SIDE)),
        )


def main() -> None:
    parser = parser_of(__doc__)
    for name, usual in (("images", 10_000), ("side", 256), ("batch", BATCH), ("samples", 10_000), ("large", 0)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help=f"sizes by which all is run, and nothing is said: {TINY}")
    parser.add_argument(
        "--compiled", action="store_true", help="also the bfloat16 network compiled, and as a CUDA graph"
    )
    parser.add_argument("--weights", type=Path, help="of the reference Inception; random ones where none are given")
    parser.add_argument("--page", type=Path, help="also write the results there, as Markdown")
    o = parser.parse_args()
    if o.device != "cpu" and not torch.cuda.is_available():
        print("No CUDA device here: nothing to measure.")
        return
    sizes = TINY if o.tiny else {name: getattr(o, name) for name in TINY}
    sizes = {**sizes, "width": WIDTH // 32 if o.tiny else WIDTH, "compiled": o.compiled}
    with torch.no_grad(), candidates(o.weights, o.device) as (networks, peers, work):
        result = bench(networks, peers, sizes, work, o.device)
    finish(result, __doc__, o.json)
    if o.page is not None:
        o.page.write_text(page(result, card_of(o.device)))


if __name__ == "__main__":
    main()
