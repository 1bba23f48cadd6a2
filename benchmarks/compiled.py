"""What would torch.compile gain on a CPU? Inception, EfficientNet-Lite0 and a ViT as they are, and compiled, frozen.

    python benchmarks/compiled.py --images 16 --repeats 5

Seconds are of the CPU, not of the clock, so that a shared machine tells as much as a quiet one; take one thread
(``OMP_NUM_THREADS=1``). Features must agree to 1e-4. Needs a C++ compiler. It is no option of the
library: it gained 1.00, 1.04 and 1.02 times on two EPYC cores.
"""

from __future__ import annotations

import argparse
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from harness.common import machine, table
from harness.inputs import draw_images, reference_weights

from streaming_metrics.extractors import EfficientNetLite0, InceptionV3, fuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

TOLERANCE = 1e-4
HEAD = ["network", "eager s", "compiled s", "ratio", "compiling s", "apart"]


def networks(images: int) -> dict[str, Callable[[], Tensor]]:
    """Return, by name, what runs each network once: behind its resize, on channels-last pixels."""
    import timm

    with reference_weights(None) as weights:
        inception = torch.nn.Sequential(*InceptionV3(weights).stages)
    side = {"inception-v3": 299, "efficientnet-lite0": 224, "vit-base": 224}
    vit = timm.create_model("vit_base_patch16_224").eval().requires_grad_(False)
    runs = inception, EfficientNetLite0().network.extract_features, vit.forward_features
    return {name: partial(run, _pixels(images, at)) for (name, at), run in zip(side.items(), runs)}


def bench(
    runs: Mapping[str, Callable[[], Tensor]], repeats: int, compiled: Callable[[Any], Any] | None = None
) -> list[list[Any]]:
    """Return a row for each network.

    Args:
        runs: by name, as partials of a network and its input.
        repeats: turns of each, of which the quickest counts.
        compiled: compiles a network. Default: Inductor, with the weights frozen.

    Raises:
        RuntimeError: there is no C++ compiler.
        AssertionError: features that are not the same.
    """
    return [_row(name, run, repeats, compiled or with_inductor) for name, run in runs.items()]


@torch.no_grad()
def _row(name: str, run: Any, repeats: int, compiled: Callable[[Any], Any]) -> list[Any]:
    eager, start = run(), time.perf_counter()
    quick = partial(compiled(run.func), *run.args)
    features = quick()
    took = time.perf_counter() - start
    apart = float((features - eager).norm() / eager.norm())
    if not apart <= TOLERANCE:
        raise AssertionError(f"{name}: {apart:.1e} apart, at most {TOLERANCE:.0e} allowed")
    turns = [(_cpu_seconds(run), _cpu_seconds(quick)) for _ in range(repeats)]
    before, after = map(min, zip(*turns))
    return [name, before, after, before / after, took, apart]


def with_inductor(network: Any) -> Any:
    """Return a network compiled for one shape, its weights frozen."""
    if not any(map(shutil.which, ("g++", "clang++", "c++"))):
        raise RuntimeError(
            "torch.compile: expected a C++ compiler (g++ or clang++), found none. Remedy: apt-get install g++."
        )
    quick = torch.compile(network, dynamic=False, options={"freezing": True})

    def run(pixels: Tensor) -> Tensor:
        with mock.patch.object(fuse, "ONE_PASS", None):  # Inductor fuses what is plain
            return quick(pixels)

    return run


def _cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _pixels(images: int, side: int) -> Tensor:
    return (draw_images(images, side, side) / 128 - 1).contiguous(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    print(table(HEAD, bench(networks(options.images), options.repeats)))


if __name__ == "__main__":
    main()
