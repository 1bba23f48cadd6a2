"""What do very many features need? KID and PRDC together of N + N, the features read from memory-mapped files.

    python benchmarks/many.py --samples 20000 --width 768 [--large]

Features are written to files that are mapped into memory, and given to the metric batch by batch: what is resident is
the metric's banks, 4 bytes a number, and what computing needs beyond, which the row is about. It grows with N, not with
N²: some hundred bytes a sample, besides the tiles. Time grows with N². No peer can be run: prdc holds 12 bytes a pair.

``--large`` also runs 200,000 + 200,000 once.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from harness.ceilings import GIGA
from harness.common import PeakMemory, rss
from harness.inputs import draw_features
from harness.results import Result, Row, finish, parser_of, seconds

from streaming_metrics import KID, PRDC, Features, GenerativeMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

MEMORY_REACH, LARGE, BYTES_PER_PAIR = 1.0, 200_000, 12
BATCH, OTHER_BATCH, CHECKED = 5000, 3000, 2000


def drawn(samples: int, width: int, side: int) -> Iterator[Tensor]:
    """Yield a side's features, some thousand at a time."""
    for start in range(0, samples, BATCH):
        yield draw_features(min(BATCH, samples - start), width, seed=2 * start + side, shift=0.1 * side)


def mapped(path: Path, samples: int, width: int, side: int) -> Iterator[Tensor]:
    """Write a side's features to a file, and yield them from there."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(samples, width))
    for place, batch in enumerate(drawn(samples, width, side)):
        rows[place * BATCH : (place + 1) * BATCH] = batch.numpy()
    rows.flush()
    yield from torch.from_numpy(np.load(path, mmap_mode="c")).split(OTHER_BATCH)


def fed(sides: Iterable[Iterable[Tensor]], width: int) -> GenerativeMetrics:
    """Return the metric over batches of the real side, then of the generated one."""
    metric = GenerativeMetrics([KID(), PRDC()], extractor=None, num_features=width)
    for batches, is_real in zip(sides, (True, False)):
        for batch in batches:
            metric.update(Features(pool=batch), real=is_real)
    return metric


def bench(samples: int, width: int) -> Result:
    warnings.simplefilter("ignore")
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        metric = fed((mapped(Path(folder) / f"{side}.npy", samples, width, side) for side in (0, 1)), width)
        few = min(samples, CHECKED)
        read = fed((mapped(Path(folder) / f"few{side}.npy", few, width, side) for side in (0, 1)), width).compute()
    held = fed((drawn(few, width, side) for side in (0, 1)), width).compute()
    result.agree(f"{few} + {few}, from files and from memory", [*read.values()], [*held.values()], 0.0)
    resident, start = rss(), time.perf_counter()
    with PeakMemory() as peak:
        values = metric.compute()
    took, beyond = time.perf_counter() - start, peak.beyond / GIGA
    cannot = f"{BYTES_PER_PAIR * samples**2 / GIGA:.3g} GB needed, prdc"
    question = f"KID and PRDC {samples} + {samples} × {width}: memory beyond the banks"
    row = Row(question, f"{beyond:.2g} GB", cannot, beyond, MEMORY_REACH, at_most=True, unit="GB", note=seconds(took))
    rate = 4 * samples**2 * width / took / GIGA
    result.rows.append(row)
    result.notes += [
        f"{samples} + {samples} in {seconds(took)}, {rate:.0f} GFLOP/s of all pairs; {resident / GIGA:.2g} GB resident "
        f"before, of which banks {8 * samples * width / GIGA:.2g} GB; at this rate {LARGE} + {LARGE} take "
        f"{seconds(took * (LARGE / samples) ** 2)}",
        ", ".join(f"{key} {float(value):.5f}" for key, value in values.items()),
    ]
    return result


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--large", action="store_true", help=f"also {LARGE} + {LARGE}")
    options = parser.parse_args()
    result = bench(options.samples, options.width)
    if options.large:
        more = bench(LARGE, options.width)
        result.rows += more.rows
        result.checks += more.checks
        result.notes += more.notes
    finish(result, __doc__, options.json)


if __name__ == "__main__":
    main()
