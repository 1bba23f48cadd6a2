"""Is anything but a documented error raised, or any sample lost, whatever is given? Thousands of drawn inputs.

    python benchmarks/fuzz.py --inputs 10000 --seed 0

Three in five go to ``update``: wrong types, dtypes, shapes, ranges, NaN, strange index tensors, odd Features, images
for a module. The others are files and states: truncated, bit-flipped, pickled, oversized or of another version, for
``reference=``, ``merge_states``, ``load_state_dict`` and weights. Prints what came of them; exits with 1 where an error
was none of the documented ones, or left a trace in the metric.
"""

from __future__ import annotations

import argparse
import json
import pickle
import random
import struct
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from harness.common import machine, table
from torch import Tensor, nn

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics, merge_states
from streaming_metrics.extractors.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTED = (TypeError, ValueError, FileNotFoundError, RuntimeError)
WIDTH, CLASSES, SIDE = 3, 2, 6
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
DTYPES = [*FLOATS, torch.uint8, torch.int8, torch.int32, torch.int64, torch.bool, torch.complex64]
STRANGE = [None, 3, 2.5, "images", b"", [], [1.0, 2.0], {}, object(), np.zeros((2, WIDTH)), nn.Linear(1, 1), (), True]
SPECIAL = [float("nan"), float("inf"), -float("inf"), 1e16, 3e38, -1e30, 1e-45, 0.0, -0.0]


class Means(nn.Module):
    """The smallest extractor: one mean a channel."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3))


class Fuzzer:
    """Draws inputs, and counts what comes of them.

    Args:
        seed: of all inputs.
        folder: for files.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.draw, self.folder = random.Random(seed), folder
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.plain = Features(torch.rand(2, 3), torch.rand(2, CLASSES))
        self.by_features, self.by_images = features_metric(), images_metric()
        self.state, self.reference, self.weights = (folder / name for name in ("state", "reference", "weights.pth"))
        whole = features_metric()
        whole.save_state(self.state)
        whole.save_reference(self.reference)
        torch.save(nn.Linear(3, 3).state_dict(), self.weights)
        self.whole = {path: path.read_bytes() for path in (self.state, self.reference, self.weights)}

    def run(self, inputs: int) -> None:
        """Try this many inputs, from every source in turn."""
        sources = [self.features, self.images, self.index, self.files, self.states]
        for number in range(inputs):
            name, metric, attempt, shown = sources[number % len(sources)]()
            self.judge(f"{sources[number % len(sources)].__name__}: {name}", metric, attempt, shown)

    def judge(self, name: str, metric: GenerativeMetrics, attempt: Callable[[], Any], shown: str) -> None:
        """Make one attempt; an error must be documented, and must leave the metric as it was."""
        before = {key: state.clone() for key, state in metric.metric_state.items()}
        try:
            attempt()
        except DOCUMENTED as error:
            self.outcomes[name, type(error).__name__] += 1
            if not all(torch.equal(before[key], state) for key, state in metric.metric_state.items()):
                self.faults.append(f"{name} {shown}: {error!r} left a trace")
        except BaseException as error:
            self.outcomes[name, f"FAULT {type(error).__name__}"] += 1
            self.faults.append(f"{name} {shown}: {error!r}")
        else:
            self.outcomes[name, "taken"] += 1
            finite = all(state.isfinite().all() for state in metric.metric_state.values())
            if not finite:
                self.faults.append(f"{name} {shown}: taken, and the state is not finite")
        metric.reset()
        for role in (True, False):
            metric.update(self.plain, real=role)

    # What is given to update.

    def features(self) -> Any:
        metric = self.by_features
        if self.draw.random() < 0.2:
            strange = self.draw.choice(STRANGE)
            return "strange", metric, lambda: metric.update(strange, real=True), repr(strange)
        n = self.draw.choice([0, 1, 2, 5])
        pool = self.rows(n, WIDTH)
        logits = self.rows(n, CLASSES)
        if self.draw.random() < 0.1:
            pool = self.draw.choice(STRANGE)
        given = Features(pool, logits, self.draw.choice([None, torch.arange(n), self.ids(n)]))
        role = self.draw.random() < 0.5
        return "odd columns", metric, lambda: metric.update(given, real=role), repr(given)

    def images(self) -> Any:
        metric = self.by_images
        shape = [
            self.draw.choice([0, 1, 3]),
            self.draw.choice([3, 3, 3, 1, 4, 0]),
            SIDE,
            self.draw.choice([SIDE, 1, 0]),
        ]
        if self.draw.random() < 0.2:
            shape = shape[: self.draw.randrange(4)] if self.draw.random() < 0.7 else [*shape, 1]
        images = self.drawn(shape)
        if self.draw.random() < 0.1:
            images = self.draw.choice(STRANGE)
        return "images", metric, lambda: metric.update(images, real=False), repr(images)

    def index(self) -> Any:
        metric, n = self.by_features, self.draw.choice([0, 1, 3])
        given = Features(torch.randn(n, WIDTH), torch.randn(n, CLASSES))
        index = self.ids(n)
        return "index", metric, lambda: metric.update(given, real=True, index=index), repr(index)

    def rows(self, n: int, width: int) -> Tensor:
        shape = [n + self.draw.choice([0, 0, 0, 0, 1, -n]), width + self.draw.choice([0, 0, 0, 0, 1, -1, -width])]
        return self.drawn(self.draw.choice([shape, shape, shape, shape, [*shape, 1], shape[:1], []]))

    def drawn(self, shape: list[int]) -> Tensor:
        dtype = self.draw.choice([torch.float32, torch.float32, *DTYPES])
        scale = self.draw.choice([1.0, 1.0, 1.0, 255.0, 1e-30, 1e10])
        values = torch.rand(shape) * scale
        if values.numel() and self.draw.random() < 0.2:
            values.view(-1)[self.draw.randrange(values.numel())] = self.draw.choice(SPECIAL)
        tensor = values.to(dtype)
        if tensor.ndim > 1 and self.draw.random() < 0.1:
            tensor = tensor.transpose(0, 1).contiguous().transpose(0, 1)
        return tensor.requires_grad_() if tensor.is_floating_point() and self.draw.random() < 0.05 else tensor

    def ids(self, n: int) -> Any:
        extremes = [0, -1, 2**40 - 1, 2**40, 2**62, -(2**63), 2**63 - 1, 7]
        return self.draw.choice(
            [
                torch.tensor([self.draw.choice(extremes) for _ in range(n)], dtype=torch.int64),
                torch.arange(n).to(self.draw.choice(DTYPES)),
                torch.arange(n + self.draw.choice([-1, 1, 2]) if n else 1),
                torch.arange(n).view(-1, 1),
                self.draw.choice(STRANGE),
                np.arange(n),
                list(range(n)),
            ]
        )

    # What is read from files and states.

    def files(self) -> Any:
        path = self.draw.choice(list(self.whole))
        how = self.draw.choice(
            [truncated, flipped, scribbled, pickled, oversized, of_another_version, empty, absent, nested]
        )
        broken = self.folder / f"broken{path.suffix}"
        broken.unlink(missing_ok=True)
        content = how(self.whole[path], self.draw)
        if content is not None:
            broken.write_bytes(content)
        metric = self.by_features
        read = {
            self.state: lambda: merge_states(metric, [self.state, broken]),
            self.reference: lambda: features_metric(reference=broken, fill=False),
            self.weights: lambda: load_weights(broken),
        }[path]
        return f"{path.name} {how.__name__}", metric, read, ""

    def states(self) -> Any:
        metric = self.by_features
        saved: dict[str, Any] = {name: state.clone() for name, state in features_metric().metric_state.items()}
        name = self.draw.choice(list(saved))
        change = self.draw.choice(["drop", "dtype", "shape", "strange", "unknown", "not finite", "counts"])
        if change == "drop":
            del saved[name]
        elif change == "dtype":
            saved[name] = saved[name].to(self.draw.choice(DTYPES))
        elif change == "shape":
            saved[name] = self.draw.choice([saved[name][None], saved[name].flatten(), saved[name].view(-1)[:-1]])
        elif change == "counts":
            name = self.draw.choice([name for name in saved if "count" in name])
            saved[name] = saved[name] + self.draw.choice([-9, -1, 1, 2**62])
        elif change == "not finite":
            saved[name] = (saved[name] * float("nan")).to(saved[name].dtype)
        else:
            saved[name if change == "strange" else "unknown"] = self.draw.choice(STRANGE)
        if self.draw.random() < 0.5 and change != "unknown":  # torch loads all it knows, then tells of what it does not
            return f"load_state_dict {change}", metric, lambda: metric.load_state_dict(saved), name
        return f"merge_state {change}", metric, lambda: metric.merge_state(saved), name


def features_metric(*, fill: bool = True, **options: Any) -> GenerativeMetrics:
    measures = [FID(), KID(subsets=2, subset_size=2), IS(splits=2), PRDC(k=1)]
    metric = GenerativeMetrics(measures, extractor=None, num_features=WIDTH, num_classes=CLASSES, **options)
    for role in (True, False) if fill else ():
        metric.update(Features(torch.rand(5, WIDTH), torch.rand(5, CLASSES)), real=role)
    return metric


def images_metric() -> GenerativeMetrics:
    return GenerativeMetrics([FID(), PRDC(k=1)], Means(), tag="means", num_features=3, value_range=(0, 1))


def truncated(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def flipped(content: bytes, draw: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def scribbled(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    return content[:start] + draw.randbytes(draw.randrange(1, 64)) + content[start:]


def pickled(content: bytes, draw: random.Random) -> bytes:
    return pickle.dumps(draw.choice([{"a": 1}, len(content), FID(), print]), protocol=draw.randrange(6))


def oversized(content: bytes, draw: random.Random) -> bytes:
    return struct.pack("<Q", draw.choice([2**63, 2**40, 10**8 + 1, len(content), len(content) + 1])) + content[8:]


def of_another_version(content: bytes, draw: random.Random) -> bytes:
    return content.replace(b" 1", f" {draw.randrange(2, 10)}".encode(), 1).replace(b"0.1.0", b"9.9.9")


def empty(content: bytes, draw: random.Random) -> bytes:  # noqa: ARG001
    return draw.choice([b"", b"\0" * 8, b"\0" * 100, struct.pack("<Q", 2) + b"{}", json.dumps({}).encode()])


def nested(content: bytes, draw: random.Random) -> bytes:  # noqa: ARG001
    deep = draw.choice(["[", '{"a":']) * 100_000
    header = draw.choice([deep, json.dumps({"__metadata__": {"streaming_metrics": deep}})]).encode()
    return struct.pack("<Q", len(header)) + header


def absent(content: bytes, draw: random.Random) -> None:  # noqa: ARG001
    return None


def fuzz(inputs: int, seed: int) -> Fuzzer:
    """Return a fuzzer that has tried so many inputs."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        fuzzer = Fuzzer(seed, Path(folder))
        fuzzer.run(inputs)
        return fuzzer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fuzzer = fuzz(options.inputs, options.seed)
    print(machine())
    print(table(["given", "came of it", "times"], [[*key, times] for key, times in sorted(fuzzer.outcomes.items())]))
    print(f"{fuzzer.outcomes.total()} inputs, {len(fuzzer.faults)} faults")
    for fault in fuzzer.faults[:20]:
        print(fault[:300])
    sys.exit(bool(fuzzer.faults))


if __name__ == "__main__":
    main()
