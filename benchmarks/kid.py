"""How long does KID take, and what does it add to PRDC? Beside torchmetrics, over the very same subsets.

    python benchmarks/kid.py --samples 10000 --width 2048 --subsets 100 --subset-size 1000 --repeats 3

torchmetrics draws its subsets from torch's generator; ours is given that generator's state and draws the same. Means
and deviations must agree to 1e-3 (torchmetrics sums in float32). KID and PRDC together are measured against PRDC alone,
both with float32 products: the low-precision pre-pass of PRDC alone gives KID no sums. The share of the ceiling counts
the products of each pair of features once.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from harness.ceilings import Ceilings, share
from harness.common import interleaved
from harness.inputs import Given, draw_features, exactly, fed, uncached
from harness.results import Result, Row, finish, parser_of, seconds

from streaming_metrics import KID, PRDC

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

REACH, FROZEN_REACH, TOGETHER_REACH = 1.4, 1.9, 1.1
TOLERANCE = 1e-3
SEED = 2020
OURS, FROZEN, THEIRS, PRDC_ALONE, TOGETHER = "KID", "KID frozen", "torchmetrics", "PRDC", "KID and PRDC"


def torchmetrics_kid(real: Tensor, fake: Tensor, subsets: int, subset_size: int) -> Callable[[], Any]:
    from torchmetrics.image.kid import KernelInceptionDistance

    metric = KernelInceptionDistance(feature=Given(real.shape[1]), subsets=subsets, subset_size=subset_size)
    metric.update(real, real=True)
    metric.update(fake, real=False)

    def compute() -> Tensor:
        torch.manual_seed(SEED)
        return torch.stack(uncached(metric))

    return compute


def same_subsets(subsets: int, subset_size: int) -> KID:
    """Return our KID over the subsets that torchmetrics draws."""
    state = torch.Generator().manual_seed(SEED).get_state().numpy().tobytes()
    return KID(subsets=subsets, subset_size=subset_size, seed=state)


def bench(samples: int, width: int, subsets: int, subset_size: int, k: int, repeats: int) -> Result:
    warnings.simplefilter("ignore")
    sides = draw_features(samples, width), draw_features(samples, width, seed=1, shift=0.1)
    kid, prdc = same_subsets(subsets, subset_size), PRDC(k=k)
    alone, frozen = fed([kid], *sides), fed([kid], *sides, frozen=True)
    neighbours, together = fed([prdc], *sides), fed([kid, prdc], *sides)
    ceilings = Ceilings("sgemm", "copy")
    runs = {
        OURS: alone.compute,
        FROZEN: frozen.compute,
        THEIRS: torchmetrics_kid(*sides, subsets, subset_size),
        PRDC_ALONE: exactly(neighbours.compute),
        TOGETHER: exactly(together.compute),
    }
    timings = interleaved({**runs, **ceilings.candidates()}, repeats)
    values = {name: timings[name].result for name in (OURS, FROZEN, PRDC_ALONE, TOGETHER)}
    result = Result(ceilings=ceilings.rates(timings))
    result.agree("KID, ours and torchmetrics", list(values[OURS].values()), timings[THEIRS].result, TOLERANCE)
    result.agree("KID, frozen and not", list(values[FROZEN].values()), list(values[OURS].values()), 1e-9)
    for name in (OURS, PRDC_ALONE):
        shared = [values[TOGETHER][key] for key in values[name]]
        result.agree(f"{name} alone, and together", list(values[name].values()), shared, 1e-9)
    took = {name: timings[name].seconds for name in runs}
    sgemm = result.ceilings["sgemm"]
    notes = {
        name: share(work, took[name], sgemm, "sgemm")
        for name, work in {
            OURS: 4 * samples**2 * width,
            FROZEN: 3 * samples**2 * width,
            TOGETHER: 4 * samples**2 * width,
        }.items()
    }
    task = f"KID, {samples} + {samples}, {subsets} × {subset_size}"
    for name, reach in ((OURS, REACH), (FROZEN, FROZEN_REACH)):
        question = task + (", real side frozen" if name == FROZEN else "")
        figures = seconds(took[name]), seconds(took[THEIRS]), took[THEIRS] / took[name]
        result.rows.append(Row(question, *figures, reach, note=notes[name]))
    figures = seconds(took[TOGETHER]), f"{seconds(took[PRDC_ALONE])}, PRDC", took[TOGETHER] / took[PRDC_ALONE]
    question = "KID and PRDC together, over PRDC alone"
    result.rows.append(Row(question, *figures, TOGETHER_REACH, at_most=True, note=notes[TOGETHER]))
    return result


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--subsets", type=int, default=100)
    parser.add_argument("--subset-size", type=int, default=1000)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    o = parser.parse_args()
    finish(bench(o.samples, o.width, o.subsets, o.subset_size, o.k, o.repeats), __doc__, o.json)


if __name__ == "__main__":
    main()
