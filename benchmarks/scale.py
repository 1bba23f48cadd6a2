"""What does a report cost on any number of samples and ranks? A model of time and bytes, fitted here and checked here.

    python benchmarks/scale.py --samples 1500 3000 --widths 256 768 --fitted 1 2 3 --checked 4 5 6 --page docs/scale.md

FID with IS, KID and PRDC are computed by gloo ranks of this machine over sides that are dealt to them. Of each rank are
taken: seconds of the processor for the updates and for the compute, bytes of the states, bytes of the tensors that it
hands to collectives. Each is a sum of few terms in samples N, width D and ranks W, whose constants are fitted to what
was seen on the first numbers of ranks (least squares of relative errors, none negative) and held against the others,
which the fit has not seen. The meeting of ranks at a store, which precedes each compute, is timed by threads. Then the
model is asked for 10 million samples on 1,024 ranks, with reservoirs and without. Seconds are this machine's cores,
which more ranks than cores share: what waits for others in a loop then counts as well.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from harness.common import machine, on_ranks
from harness.inputs import draw_features
from harness.page import markdown, write_part
from scipy.optimize import nnls
from sync import Payload
from torch import distributed as dist

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics
from streaming_metrics.distributed.rendezvous import Rendezvous

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CLASSES, BATCH = 1000, 64
SUBSETS, SUBSET = 30, 200
REPORTS = {
    "FID and IS": [FID(), IS(splits=1)],
    "KID": [KID(subsets=SUBSETS, subset_size=SUBSET)],
    "PRDC": [PRDC()],
}
QUANTITIES = "update, s", "compute, s", "kept, bytes", "moved, bytes"
WIDE = {"samples": 10_000_000, "width": 2048, "ranks": 1024}
RESERVOIR = 50_000
MEETINGS = 8, 32, 128


class Case(NamedTuple):
    """Size of a report.

    Args:
        samples: N of each side, over all ranks.
        width: D.
        ranks: W.
    """

    samples: int
    width: int
    ranks: int


def _once(_: Case) -> float:
    return 1.0


def _joined(case: Case) -> float:
    return float(case.ranks > 1)


def _ranks(case: Case) -> float:
    return float(case.ranks)


def _per_rank(case: Case) -> float:
    return 2 * case.samples / case.ranks


TERMS: Mapping[tuple[str, str], Mapping[str, Callable[[Case], float]]] = {
    ("FID and IS", "update, s"): {
        "samples of a rank": _per_rank,
        "samples of a rank × D": lambda c: _per_rank(c) * c.width,
        "samples of a rank × D²": lambda c: _per_rank(c) * c.width**2,
    },
    ("FID and IS", "compute, s"): {"once": _once, "D²": lambda c: c.width**2, "D³": lambda c: c.width**3},
    ("FID and IS", "kept, bytes"): {"once": _once, "D": lambda c: c.width, "D²": lambda c: c.width**2},
    ("FID and IS", "moved, bytes"): {
        "once, W > 1": _joined,
        "D², W > 1": lambda c: float(c.ranks > 1) * c.width**2,
        "D² × (W − 1) / W": lambda c: c.width**2 * (c.ranks - 1) / c.ranks,
    },
    ("KID", "update, s"): {
        "samples of a rank": _per_rank,
        "samples of a rank × D": lambda c: _per_rank(c) * c.width,
    },
    ("KID", "compute, s"): {
        "once": _once,
        "W": _ranks,
        "N": lambda c: c.samples,
        "N × D": lambda c: c.samples * c.width,
        "pairs in subsets × D / W": lambda c: SUBSETS * SUBSET**2 * c.width / c.ranks,
        "pairs in subsets / W": lambda c: SUBSETS * SUBSET**2 / c.ranks,
    },
    ("KID", "kept, bytes"): {
        "once": _once,
        "samples of a rank": _per_rank,
        "samples of a rank × D": lambda c: _per_rank(c) * c.width,
    },
    ("KID", "moved, bytes"): {
        "once, W > 1": _joined,
        "N, W > 1": lambda c: float(c.ranks > 1) * c.samples,
        "N × D × (W − 1) / W": lambda c: c.samples * c.width * (c.ranks - 1) / c.ranks,
    },
    ("PRDC", "compute, s"): {
        "once": _once,
        "W": _ranks,
        "N²/W": lambda c: c.samples**2 / c.ranks,
        "N² × D / W": lambda c: c.samples**2 * c.width / c.ranks,
        "N × D": lambda c: c.samples * c.width,
    },
}
SAME_AS = {("PRDC", one): ("KID", one) for one in ("update, s", "kept, bytes", "moved, bytes")}


def terms_of(report: str, quantity: str) -> Mapping[str, Callable[[Case], float]]:
    """Return the terms of a quantity of a report, by name."""
    return TERMS[SAME_AS.get((report, quantity), (report, quantity))]


@dataclass(frozen=True)
class Model:
    """Sum of terms with constants.

    Args:
        terms: by name.
        constants: one a term.
    """

    terms: Mapping[str, Callable[[Case], float]]
    constants: tuple[float, ...]

    @classmethod
    def fitted(cls, terms: Mapping[str, Callable[[Case], float]], seen: Mapping[Case, float]) -> Model:
        """Return the model with the least relative errors; of nothing seen but zeros, that of zeros."""
        known = {case: value for case, value in seen.items() if value > 0}
        if not known:
            return cls(terms, (0.0,) * len(terms))
        rows = np.array([[term(case) / value for term in terms.values()] for case, value in known.items()])
        scale = np.abs(rows).max(0).clip(1e-300)
        constants, _ = nnls(rows / scale, np.ones(len(rows)))
        return cls(terms, tuple((constants / scale).tolist()))

    def __call__(self, case: Case) -> float:
        """Return the quantity of a case."""
        return sum(k * term(case) for k, term in zip(self.constants, self.terms.values()))

    def __str__(self) -> str:
        return " + ".join(f"{k:.3g} · {name}" for k, name in zip(self.constants, self.terms) if k) or "0"


def measured(
    rank: int, world_size: int, samples: Sequence[int], widths: Sequence[int], turns: int = 3, **options: Any
) -> dict[Any, list[float]]:
    """Return the four quantities of each report and size, as one rank sees them."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    return {
        (report, Case(n, width, world_size)): _of_one(rank, measures, Case(n, width, world_size), turns, **options)
        for report, measures in REPORTS.items()
        for n in samples
        for width in widths
    }


def _of_one(rank: int, measures: Sequence[Any], case: Case, turns: int, **options: Any) -> list[float]:
    logits = torch.randn(case.samples, CLASSES, generator=torch.Generator().manual_seed(3))
    mine = torch.arange(case.samples)[rank :: case.ranks]
    sides = {real: draw_features(case.samples, case.width, seed=int(real))[mine] for real in (True, False)}
    least: list[list[float]] = []
    for _ in range(turns):
        widths = {"num_features": case.width, "num_classes": CLASSES}
        metric = GenerativeMetrics(measures, extractor=None, **widths, **options)
        begun = time.process_time()
        for real, rows in sides.items():
            for places in torch.arange(len(mine)).split(BATCH):
                metric.update(Features(rows[places], logits[mine[places]], mine[places]), real=real)
        updated = time.process_time()
        kept = sum(state.untyped_storage().nbytes() for state in metric.metric_state.values())
        with Payload() as payload:
            metric.compute()
        least.append([updated - begun, time.process_time() - updated, kept, payload.total])
    return [min(each) for each in zip(*least)]


def meeting(ranks: int, letters: int = 400, turns: int = 3) -> float:
    """Return the seconds that so many ranks take to meet at one store, each saying ``letters``; they are threads."""
    waits = timedelta(seconds=60)
    server = dist.TCPStore("127.0.0.1", 0, ranks, True, timeout=waits, wait_for_workers=False)
    doors = [
        dist.TCPStore("127.0.0.1", server.port, ranks, False, timeout=waits, wait_for_workers=False)
        for _ in range(ranks)
    ]
    groups, spent = [_Group() for _ in range(ranks)], []
    for _ in range(turns):
        meetings = [Rendezvous(doors[r], groups[r], "scale", r, ranks, 60.0) for r in range(ranks)]
        threads = [threading.Thread(target=one, args=("x" * letters,)) for one in meetings]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent.append(time.perf_counter() - begun)
    return min(spent)


class _Group:
    """Stands for a process group, whose meetings are counted."""


def collected(
    ranks: Sequence[int],
    samples: Sequence[int],
    widths: Sequence[int],
    on_ranks: Callable[..., list[Any]] = on_ranks,
) -> dict[tuple[str, Case], list[float]]:
    """Return the four quantities of each report, size and number of ranks: of the rank that has most of it."""
    seen: dict[tuple[str, Case], list[float]] = {}
    for world_size in ranks:
        everyone = on_ranks(world_size, measured, world_size, samples, widths)
        seen |= {case: [max(each) for each in zip(*(rank[case] for rank in everyone))] for case in everyone[0]}
    return seen


def models_of(seen: Mapping[tuple[str, Case], list[float]], fitted: Sequence[int]) -> dict[tuple[str, str], Model]:
    """Return the model of each quantity of each report, by what was seen on some numbers of ranks."""
    models = {}
    for report in REPORTS:
        for place, quantity in enumerate(QUANTITIES):
            of = {case: v[place] for (name, case), v in seen.items() if name == report and case.ranks in fitted}
            models[report, quantity] = Model.fitted(terms_of(report, quantity), of)
    return models


def checks_of(
    models: Mapping[tuple[str, str], Model], seen: Mapping[tuple[str, Case], list[float]], checked: Sequence[int]
) -> list[list[str]]:
    """Return rows that say how far the models are from what was seen on numbers of ranks that they have not seen."""
    rows = []
    for (report, quantity), model in models.items():
        place = QUANTITIES.index(quantity)
        pairs = [
            (model(case), v[place]) for (name, case), v in seen.items() if name == report and case.ranks in checked
        ]
        ratios = np.array([told / found for told, found in pairs if found > 0])
        shown = [f"{np.median(ratios):.2f}", f"{ratios.min():.2f} – {ratios.max():.2f}"] if len(ratios) else ["–", "–"]
        rows.append([report, quantity, str(model), *shown])
    return rows


def told_bytes(count: float) -> str:
    """Return bytes as people say them."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def told_seconds(seconds: float) -> str:
    """Return seconds as people say them."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def wide_rows(models: Mapping[tuple[str, str], Model]) -> list[list[str]]:
    """Return rows of what a rank spends on 10 million samples over 1,024 ranks, and with reservoirs in place of all."""
    rows = []
    for report in REPORTS:
        for words, samples in (("all", WIDE["samples"]), (f"a reservoir of {RESERVOIR:,}", RESERVOIR)):
            case, whole = Case(samples, WIDE["width"], WIDE["ranks"]), Case(**WIDE)
            if report == "FID and IS" and samples == RESERVOIR:
                continue
            update, compute, kept, moved = (models[report, quantity] for quantity in QUANTITIES)
            told = [
                told_seconds(update(whole)),
                told_seconds(compute(case)),
                told_bytes(kept(case)),
                told_bytes(moved(case)),
            ]
            rows.append([report, words, *told])
    return rows


def frozen_bytes() -> float:
    """Return the bytes of a side of 10 million samples that each rank holds whole, once it is frozen for PRDC."""
    return 4.0 * WIDE["samples"] * WIDE["width"]


def page_of(seen: Mapping[tuple[str, Case], list[float]], fitted: Sequence[int], checked: Sequence[int]) -> str:
    """Return the model, how it was checked, and what it says of many samples and ranks, as Markdown."""
    models = models_of(seen, fitted)
    met = {ranks: meeting(ranks) for ranks in MEETINGS}
    steepest = max(met[ranks] / ranks**2 for ranks in MEETINGS[1:])
    meetings = ", ".join(f"{seconds * 1e3:.0f} ms of {ranks}" for ranks, seconds in met.items())
    at_most = steepest * WIDE["ranks"] ** 2
    return "\n\n".join(
        [
            f"{machine()}, one thread a rank.",
            f"Fitted to {_listed(fitted)} ranks, held against {_listed(checked)}: what the model says over what was "
            "seen, its median and range over sizes.",
            markdown(("report", "of a rank", "model", "median", "range"), checks_of(models, seen, checked)),
            f"A rank's share of {WIDE['samples']:,} samples a side, {WIDE['width']} wide, on {WIDE['ranks']:,} ranks:",
            markdown(("report", "kept of a side", "updates", "compute", "states", "moved"), wide_rows(models)),
            f"Ranks meet at the store before they compute: {meetings}; by its square, the steepest there is, "
            f"{told_seconds(at_most)} of {WIDE['ranks']:,}. A real side that is frozen for PRDC is held whole by each "
            f"rank: {told_bytes(frozen_bytes())}.",
        ]
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[1500, 3000])
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 768])
    parser.add_argument("--fitted", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--checked", type=int, nargs="+", default=[4, 5, 6])
    parser.add_argument("--page", type=Path, help="page of Markdown to write into, between the comments of its part")
    options = parser.parse_args()
    seen = collected([*options.fitted, *options.checked], options.samples, options.widths)
    text = page_of(seen, options.fitted, options.checked)
    sys.stdout.write(f"{text}\n")
    if options.page is not None:
        write_part(options.page, "scale", text)


if __name__ == "__main__":
    main()
