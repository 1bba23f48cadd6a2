"""How do time and memory grow with the number of samples and of ranks? FID and IS, and PRDC.

    python benchmarks/growth.py --samples 4096 --width 2048 --repeats 3

The exponent p of ``time ∝ N^p`` is taken between half and all of the samples: of the updates for FID and IS, whose
compute does not depend on N, and of the compute for PRDC. Memory is bytes: of the states for FID and IS; for PRDC what
a gloo rank keeps and, at most, makes while computing, N samples on 3 ranks against 2N on 6 (of 3 shards or more, one is
at home, one is visiting and one on its way). FID and IS must agree to 1e-6 over batches of other sizes, counts of PRDC
be equal for every number of ranks.
"""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from harness.common import MIB, Timing, interleaved
from harness.common import on_ranks as on_gloo_ranks
from harness.inputs import CLASSES, WIDTH, draw_features, fed
from harness.results import Result, Row, finish, parser_of, seconds

from streaming_metrics import FID, IS, PRDC, Features, GenerativeMetrics

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from live_bytes import LiveBytes

if TYPE_CHECKING:
    from collections.abc import Callable

LINEAR, SQUARE, FLAT, BATCH, RANKS = 1.1, 2.1, 1.05, 64, 3


def exponent(half: Timing, whole: Timing) -> float:
    """Return p of ``seconds ∝ N^p``; the least disturbed turns say it best."""
    return math.log2(min(whole.turns) / min(half.turns))


def streamed(samples: int, width: int, classes: int, batch: int = BATCH) -> GenerativeMetrics:
    metric = GenerativeMetrics([FID(), IS()], extractor=None, num_features=width, num_classes=classes)
    generator = torch.Generator().manual_seed(0)
    pool, logits = (torch.randn(4 * BATCH, columns, generator=generator) for columns in (width, classes))
    for start in range(0, samples, batch):
        rows = slice(start % len(pool), start % len(pool) + batch)
        for real in (True, False):
            metric.update(Features(pool[rows] if real else 2 * pool[rows], logits[rows]), real=real)
    return metric


def kept(metric: GenerativeMetrics) -> int:
    """Return the bytes of a metric's states."""
    return sum(state.untyped_storage().nbytes() for state in metric.metric_state.values())


def fid_and_is(samples: int, width: int, classes: int, repeats: int) -> Result:
    sizes = {"half": samples // 2, "whole": samples}
    runs = {name: lambda n=n: streamed(n, width, classes) for name, n in sizes.items()}
    timings = interleaved(runs, repeats)
    values = [list(streamed(samples, width, classes, batch).compute().values()) for batch in (BATCH, BATCH // 2)]
    result = Result()
    result.agree("FID and IS, batches of 64 and of 32", *values, 1e-6)
    half, whole = (timings[name] for name in sizes)
    question = f"FID and IS: p of time ∝ N^p, N to {samples}"
    figures = seconds(min(whole.turns)), f"{seconds(min(half.turns))}, half of N", exponent(half, whole)
    result.rows.append(Row(question, *figures, LINEAR, at_most=True, unit=""))
    few, many = (kept(timing.result) for timing in (half, whole))
    figures = f"{many / MIB:.1f} MiB", f"{few / MIB:.1f} MiB, half of N", many / few
    result.rows.append(Row("FID and IS: memory kept, twice the samples", *figures, FLAT, at_most=True))
    return result


def prdc_time(samples: int, width: int, repeats: int) -> Row:
    sizes = samples // 2, samples
    half, whole = (fed([PRDC()], draw_features(n, width), draw_features(n, width, seed=1)) for n in sizes)
    timings = interleaved({"half": half.compute, "whole": whole.compute}, repeats)
    few, many = timings["half"], timings["whole"]
    figures = seconds(min(many.turns)), f"{seconds(min(few.turns))}, half of N", exponent(few, many)
    return Row(f"PRDC: p of time ∝ N^p, N to {samples}", *figures, SQUARE, at_most=True, unit="")


def held(rank: int, world_size: int, samples: int, width: int, **options: Any) -> tuple[int, list[float]]:
    """Return the bytes that a rank keeps and makes while computing, and the values."""
    warnings.simplefilter("ignore")
    mine = torch.arange(samples)[rank::world_size]
    metric = GenerativeMetrics([PRDC()], extractor=None, num_features=width, **options)
    for seed, real in ((0, True), (1, False)):
        metric.update(draw_features(samples, width, seed=seed)[mine], real=real, index=mine)
    with LiveBytes() as live:
        values = metric.compute()
    return kept(metric) + live.peak, [float(value) for value in values.values()]


def prdc_memory(
    samples: int, width: int, ranks: int = RANKS, on_ranks: Callable[..., list[Any]] = on_gloo_ranks
) -> Result:
    result, bytes_of, values = Result(), {}, {}
    for n, world_size in ((samples, 1), (samples, ranks), (2 * samples, ranks), (2 * samples, 2 * ranks)):
        everyone = on_ranks(world_size, held, world_size, n, width)
        bytes_of[n, world_size] = max(size for size, _ in everyone)
        values[n, world_size] = everyone[0][1]
    for n, few, many in ((samples, 1, ranks), (2 * samples, ranks, 2 * ranks)):
        result.agree(f"PRDC of {n} on {few} and {many} ranks", values[n, few], values[n, many], 0.0)
    base, doubled = bytes_of[samples, ranks], bytes_of[2 * samples, 2 * ranks]
    figures = f"{doubled / MIB:.1f} MiB", f"{base / MIB:.1f} MiB, N = {samples} on {ranks}", doubled / base
    result.rows = [Row(f"PRDC: memory of a rank, N = {2 * samples} on {2 * ranks}", *figures, FLAT, at_most=True)]
    result.notes = [f"PRDC of {n} on {w} ranks: {size / MIB:.1f} MiB a rank" for (n, w), size in bytes_of.items()]
    return result


def bench(
    samples: int,
    width: int,
    classes: int,
    repeats: int,
    ranks: int = RANKS,
    on_ranks: Callable[..., list[Any]] = on_gloo_ranks,
) -> Result:
    warnings.simplefilter("ignore")
    result, memory = fid_and_is(samples, width, classes, repeats), prdc_memory(samples, width, ranks, on_ranks)
    result.rows += [prdc_time(2 * samples, width, repeats), *memory.rows]
    result.checks += memory.checks
    result.notes += memory.notes
    return result


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    finish(bench(options.samples, options.width, CLASSES, options.repeats), __doc__, options.json)


if __name__ == "__main__":
    main()
