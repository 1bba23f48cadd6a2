"""How long does PRDC take, and how much memory beyond the features? Beside prdc, the field's implementation.

    python benchmarks/precision_recall.py --samples 10000 --width 2048 --repeats 2 [--large]

All get the same features. ``exact`` takes all products in float32; ``pre-pass`` decides what bfloat16 can and measures
the rest again, and must give equal counts. Values must agree with prdc's to 1e-3. Memory is what is resident at most
beyond what was before the first run of each. The share of the ceiling counts the products of each pair once.

``--large`` runs 50,000 + 50,000 once, ours alone: prdc holds N × M distances and the order that ``argpartition`` gives
them, 12 bytes a pair.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.ceilings import GIGA, Ceilings, share
from harness.common import PeakMemory, interleaved
from harness.inputs import draw_features, exactly, fed, has_pre_pass
from harness.results import Result, Row, finish, parser_of, seconds

from streaming_metrics import PRDC

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

REACH = {"exact": 3.0, "exact, frozen": 4.5, "pre-pass": 5.0, "pre-pass, frozen": 7.0}
MEMORY_REACH, TOLERANCE = 0.3, 1e-3
LARGE, BYTES_PER_PAIR = 50_000, 12
PEER = "prdc"


def prdc(real: Tensor, fake: Tensor, k: int) -> dict[str, float]:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        return compute_prdc(real.numpy(), fake.numpy(), nearest_k=k)


def ours(real: Tensor, fake: Tensor, k: int) -> dict[str, Callable[[], Any]]:
    """Return our candidates by name."""
    metric, frozen = (fed([PRDC(k=k)], real, fake, frozen=frozen) for frozen in (False, True))
    exact = {"exact": exactly(metric.compute), "exact, frozen": exactly(frozen.compute)}
    coarse = {"pre-pass": metric.compute, "pre-pass, frozen": frozen.compute}
    return exact | coarse if has_pre_pass(real) else exact


def bench(samples: int, width: int, k: int, repeats: int) -> Result:
    warnings.simplefilter("ignore")
    sides = draw_features(samples, width), draw_features(samples, width, seed=1, shift=0.1)
    candidates, memory = ours(*sides, k), {}
    runs = {name: partial(watched, memory, name, run) for name, run in candidates.items()}
    runs[PEER] = partial(watched, memory, PEER, partial(prdc, *sides, k))
    ceilings = Ceilings("sgemm", "bf16 GEMM", "copy")
    timings = interleaved({**runs, **ceilings.candidates()}, repeats, at_most={PEER: 1})
    result = Result(ceilings=ceilings.rates(timings))
    theirs, peer = timings[PEER].result, timings[PEER].seconds
    for name in candidates:
        values = {key.removesuffix("_features"): value for key, value in timings[name].result.items()}
        result.agree(f"{name} and {PEER}", list(values.values()), [theirs[key] for key in values], TOLERANCE)
        result.agree(f"{name} and exact", list(values.values()), list(timings["exact"].result.values()), 0.0)
        took = timings[name].seconds
        work = (3 if "frozen" in name else 4) * samples**2 * width
        gemm = "bf16 GEMM" if "pre-pass" in name else "sgemm"
        note = share(work, took, result.ceilings[gemm], gemm)
        question = f"PRDC {samples} × {samples} × {width}, {name}"
        result.rows.append(Row(question, seconds(took), seconds(peer), peer / took, REACH[name], note=note))
    if "pre-pass" not in candidates:
        result.notes.append("no pre-pass: this version, width or processor has none")
    most = max(memory[name] for name in candidates)
    result.rows.append(memory_row(f"PRDC {samples}: memory beyond the banks", most, f"{memory[PEER] / GIGA:.2g} GB"))
    return result


def large(samples: int, width: int, k: int) -> Result:
    """Return one run of so many samples a side."""
    metric = fed([PRDC(k=k)], draw_features(samples, width), draw_features(samples, width, seed=1, shift=0.1))
    memory: dict[str, int] = {}
    timing = interleaved({"ours": partial(watched, memory, "ours", metric.compute)}, repeats=1)["ours"]
    cannot = f"{BYTES_PER_PAIR * samples**2 / GIGA:.0f} GB needed"
    row = memory_row(f"PRDC {samples} × {samples}: memory beyond the banks", memory["ours"], cannot)
    values = ", ".join(f"{key} {float(value):.4f}" for key, value in timing.result.items())
    return Result([row], notes=[f"{samples} + {samples} in {seconds(timing.seconds)}: {values}"])


def memory_row(question: str, ours: int, theirs: str) -> Row:
    return Row(question, f"{ours / GIGA:.2g} GB", theirs, ours / GIGA, MEMORY_REACH, at_most=True, unit="GB")


def watched(memory: dict[str, int], name: str, run: Callable[[], Any]) -> Any:
    """Run, and remember the most memory that any turn took."""
    with PeakMemory() as peak:
        result = run()
    memory[name] = max(memory.get(name, 0), peak.beyond)
    return result


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--large", action="store_true", help=f"also {LARGE} + {LARGE}")
    options = parser.parse_args()
    result = bench(options.samples, options.width, options.k, options.repeats)
    if options.large:
        more = large(LARGE, options.width, options.k)
        result.rows += more.rows
        result.notes += more.notes
    finish(result, __doc__, options.json)


if __name__ == "__main__":
    main()
