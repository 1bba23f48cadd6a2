"""How long does FID take once the moments are there? Real side frozen, beside torchmetrics and SciPy's square root.

    python benchmarks/fid.py --samples 4096 --width 2048 --repeats 3

All hold the same features. torchmetrics takes the eigenvalues of the product of the covariances, pytorch-fid SciPy's
``sqrtm`` of it; neither keeps anything while the real side stays. The values must agree to 1e-5. The share of the
ceiling counts what is done: a quarter of the two products of the congruence, and symmetric eigenvalues, half of whose
work are products of the matrix with one vector after the other. How long they take is told, ours and torch's.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from harness.ceilings import Ceilings, share
from harness.common import interleaved
from harness.inputs import Given, draw_features, fed, uncached
from harness.results import Result, Row, finish, parser_of, seconds
from scipy.linalg import sqrtm

from streaming_metrics import FID
from streaming_metrics.measures.eigenvalues import symmetric_eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

REACH = {"torchmetrics": 6.0, "SciPy sqrtm": 17.0}
TOLERANCE = 1e-5
OURS, FIRST = "frozen", "not frozen"
EIGENVALUES = {"ours": symmetric_eigenvalues, "torch's": torch.linalg.eigvalsh}


def torchmetrics_fid(real: Tensor, fake: Tensor) -> Callable[[], Any]:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=Given(real.shape[1]), reset_real_features=False)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return lambda: uncached(metric)


def scipy_fid(real: Tensor, fake: Tensor) -> Callable[[], Any]:
    """Return pytorch-fid's formula, written out: its own call of ``sqrtm`` fails from SciPy 1.18 on."""
    sides = [(rows.mean(0), np.cov(rows, rowvar=False)) for rows in (real.double().numpy(), fake.double().numpy())]
    (mean_x, covariance_x), (mean_y, covariance_y) = sides

    def distance() -> float:
        root = sqrtm(covariance_x @ covariance_y).real
        return ((mean_x - mean_y) ** 2).sum() + np.trace(covariance_x + covariance_y - 2 * root)

    return distance


def bench(samples: int, width: int, repeats: int) -> Result:
    warnings.simplefilter("ignore")
    real, fake = draw_features(samples, width), draw_features(samples, width, seed=1, shift=0.1)
    frozen, first = (fed([FID()], real, fake, frozen=frozen) for frozen in (True, False))
    peers = {"torchmetrics": torchmetrics_fid(real, fake), "SciPy sqrtm": scipy_fid(real, fake)}
    ceilings = Ceilings("dgemm", "copy")
    covariance = fake.double().T.cov()
    eigenvalues = {name: partial(run, covariance) for name, run in EIGENVALUES.items()}
    runs = {OURS: frozen.compute, FIRST: first.compute, **peers, **eigenvalues, **ceilings.candidates()}
    timings = interleaved(runs, repeats, at_most={"SciPy sqrtm": 1})
    result = Result(ceilings=ceilings.rates(timings))
    (value,) = timings[OURS].result.values()
    for name in peers:
        result.agree(f"FID, ours and {name}", value, timings[name].result, TOLERANCE)
    result.agree("FID, frozen and not", value, *timings[FIRST].result.values(), 1e-9)
    result.agree("eigenvalues, ours and torch's", *(timings[name].result for name in EIGENVALUES), 1e-9)
    work = (1 + 4 / 3) * width**3
    note = share(work, timings[OURS].seconds, result.ceilings["dgemm"], "dgemm")
    for name in peers:
        ours, theirs = timings[OURS].seconds, timings[name].seconds
        question = f"FID compute at {width}, real side frozen, against {name}"
        result.rows.append(Row(question, seconds(ours), seconds(theirs), theirs / ours, REACH[name], note=note))
    result.notes.append(f"not frozen: {seconds(timings[FIRST].seconds)}")
    for name in EIGENVALUES:
        part = share(4 / 3 * width**3, timings[name].seconds, result.ceilings["dgemm"], "dgemm")
        result.notes.append(f"eigenvalues alone, {name}: {seconds(timings[name].seconds)}, {part}")
    return result


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    finish(bench(options.samples, options.width, options.repeats), __doc__, options.json)


if __name__ == "__main__":
    main()
