"""Which measures notice what? Real images, corrupted more and more, against other real ones: a heat map of measures.

    python benchmarks/sensitivity.py --set fashion --samples 1000 --draws 8 --page docs/sensitivity.md

Every measure that its columns suffice for sees the same real and training images, frozen, and one set after another:
other real images (``none``), real images whose pixels were changed (blur, noise, JPEG, colour), and other choices of
real ones (classes left out, images of another set, few images again and again, training images, classes shifted,
labels wrong). A cell is z: how far the value is from its mean over draws of real images, in their standard deviations,
towards worse; either way, where neither is better; of logarithms, where values span decades. A measure that stays
within ±3 is marked ·, one that calls the corrupted images better ×, one that refuses them ?; a cell is blank where
nothing that the measure reads has changed.
Features are EfficientNet-Lite0's, with the descriptors of pixels that a measure has of its own.

Also prints the time of an update and a compute, and what is kept of the generated samples.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from harness import heatmap
from harness.cases import NONE, Case, cases
from harness.common import machine
from harness.image_sets import SETS, ImageSet
from harness.page import markdown, write_part
from harness.stored import Store, tickets
from harness.values import write_values
from kept import held

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.extractors import EfficientNetLite0, resolve
from streaming_metrics.measures.catalogue import Entry, entries, needed_of
from streaming_metrics.measures.sizes import size
from streaming_metrics.plots.result_keys import spans_decades

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics import Measure
    from streaming_metrics.extractors import Extractor

THRESHOLD = 3.0
VERDICTS = ("notices", "misses", "calls better", "refuses")
PICTURES = Path(__file__).parent / "pictures"


@dataclass
class Row:
    """What a measure said of every case, ``values[case][key]``, None where it would read what it read of real ones;
    seconds of an update and of a compute; bytes kept.
    """

    measure: Measure
    values: list[dict[str, float] | None]
    update: float
    compute: float
    kept: int


def measures_for(data: ImageSet, columns: set[str], n: int, network: str) -> tuple[list[Measure], dict[str, str]]:
    """Return every measure that there are columns for, and the others with the reason; those whose own network must be
    fetched read the one that is at hand.
    """
    found, left_out = [], {}
    for entry in entries():
        needed, lacking = needed_of(entry.cls), entry.columns - columns
        if entry.of_clips:
            left_out[entry.label] = "is of clips"
        elif lacking or needed not in ([], ["classes"]):
            left_out[entry.label] = f"reads {', '.join(sorted(lacking))}" if lacking else f"wants {', '.join(needed)}"
        elif entry.is_of_weights and isinstance(entry.measure, FID):
            left_out[entry.label] = "is FID of another network"
        elif entry.is_of_weights:
            found.append(replace(entry.measure, on=network))
        elif needed:
            found.append(replace(entry.measure, classes=data.classes))
        else:
            found.append(replace(entry.measure, **sized(entry.label, n)))
    return found, left_out


def sized(label: str, n: int) -> dict[str, Any]:
    """Return what options a measure needs for so few samples."""
    few = {"frequencies": 500}  # eigenvalues of 4000 take minutes
    return {"kid": {"subset_size": n // 2}, "fkea": few, "ken": few}.get(label, {})


def run(measure: Measure, sides: dict[str, Case], found: Sequence[Case], store: Store) -> Row:
    """Return what a measure says of each case, its real and training sides frozen."""
    metric = GenerativeMetrics([measure], extractor=dict(store.stored))
    for role in metric.roles:
        if role != "fake":
            metric.update(tickets(sides[role].places), role=role, labels=sides[role].labels)
            metric.freeze(role)
    took: dict[str, list[float]] = {"update": [], "compute": []}
    reads_labels = "labels" in Entry(measure).columns
    values = [None if case.is_relabelled and not reads_labels else _values(metric, case, took) for case in found]
    update, compute = (median(of) if of else math.nan for of in took.values())
    metric.reset()
    metric.update(tickets(found[0].places), real=False, labels=found[0].labels)
    return Row(measure, values, update, compute, held(metric))


def _values(metric: GenerativeMetrics, case: Case, took: dict[str, list[float]]) -> dict[str, float]:
    """Return the values of a case by key; none where the measure refuses it."""
    metric.reset()
    images, start = tickets(case.places), time.perf_counter()
    try:
        metric.update(images, real=False, labels=case.labels)
        took["update"].append(time.perf_counter() - start)
        start = time.perf_counter()
        computed = metric.compute()
        took["compute"].append(time.perf_counter() - start)
    except (RuntimeError, ValueError):
        return {}
    keys = [key for measure in metric.measures for key in measure.keys]
    return {key: float(value) for key, value in zip(keys, computed.values())}


def scores(row: Row, key: str, better: str | None, draws: int) -> list[float | None]:
    """Return how far each case after the draws of real images is from these, towards worse, in their deviations;
    of a value of which no direction is better, either way. Of values that span decades, as a report's logarithmic axis
    has them: how far their logarithms are.
    """
    values = [None if value is None else value.get(key, math.nan) for value in row.values]
    if spans_decades(value for value in values if value is not None):
        values = [None if value is None else math.log(value) for value in values]
    null = torch.tensor([value for value in values[:draws] if value is not None], dtype=torch.float64)
    mean, deviation = float(null.mean()), float(null.std())
    floor = 1e-9 * max(1.0, abs(mean))
    away = [None if value is None else (value - mean) / max(deviation, floor) for value in values[draws:]]
    return [None if z is None else {"lower": z, "higher": -z}.get(better or "", abs(z)) for z in away]


def lines_of(rows: Sequence[Row], draws: int) -> list[heatmap.Line]:
    """Return the rows of the map: a line for each value of which one direction is better, and for the first of each
    measure in any case.
    """
    return [
        heatmap.Line(scalar.key, row.measure.group, scores(row, scalar.key, scalar.better, draws))
        for row in rows
        for scalar in row.measure.scalars
        if scalar.better or scalar == row.measure.scalars[0]
    ]


def told(lines: Sequence[heatmap.Line], columns: Sequence[tuple[str, Sequence[str]]]) -> list[list[str]]:
    """Return, for each value, what it noticed from which strength on, what it missed, called better, and refused.

    What changes nothing that it reads is left out: labels, for most.
    """
    rows = []
    for line in lines:
        said: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
        start = 0
        for name, strengths in columns:
            cells = [z for z in line.cells[start : start + len(strengths)] if z is not None]
            start += len(strengths)
            if name != NONE and cells:
                verdict, what = _verdict(name, strengths, cells)
                said[verdict].append(what)
        rows.append([f"`{line.name}`", *("; ".join(of) or "–" for of in said.values())])
    return rows


def _verdict(name: str, strengths: Sequence[str], cells: Sequence[float]) -> tuple[str, str]:
    """Return what a value did about a corruption: at any strength, or at the strongest."""
    first = next((s for s, z in zip(strengths, cells) if z >= THRESHOLD), None)
    if math.isnan(cells[-1]):
        return "refuses", name
    if cells[-1] <= -THRESHOLD:
        return "calls better", name
    return ("misses", name) if first is None else ("notices", f"{name} from {first}")


def costs(rows: Sequence[Row]) -> list[list[str]]:
    """Return the table of what each measure costs."""
    return [
        [f"`{row.measure.describe()}`", f"{1e3 * row.update:.3g}", f"{1e3 * row.compute:.3g}", size(row.kept)]
        for row in rows
    ]


def bench(
    data: ImageSet,
    n: int,
    draws: int,
    network: Extractor,
    without: Sequence[str] = (),
    tell: Callable[[str], None] = print,
) -> tuple[list[Row], list[tuple[str, list[str]]], dict[str, str]]:
    """Return the rows of all measures, the columns of the map, and which measures are left out, with the reason."""
    own = dict.fromkeys(entry.network for entry in entries() if entry.network and not entry.is_of_weights)
    store, start = Store([network, *map(resolve, own)]), time.perf_counter()
    sides, found = cases(data, n, draws, store)
    tell(f"{len(found)} sets of {n} images of {data.name}, {store.count} seen in {time.perf_counter() - start:.0f} s")
    measures, left_out = measures_for(data, {*store.columns, "labels"}, n, network.name)
    left_out |= dict.fromkeys(filter(None, without), "takes minutes")
    for label, why in left_out.items():
        tell(f"left out: {label}: {why}")
    rows = []
    for measure in (one for one in measures if one.label not in without):
        start = time.perf_counter()
        rows.append(run(measure, sides, found, store))
        tell(f"{measure.describe()}: {time.perf_counter() - start:.1f} s")
    columns: dict[str, list[str]] = {}
    for case in found[draws:]:
        columns.setdefault(case.corruption, []).append("" if case.corruption == NONE else case.strength)
    return rows, list(columns.items()), left_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=SETS, default="fashion", help="real images")
    parser.add_argument("--folder", type=Path, help="where Fashion-MNIST lies")
    parser.add_argument("--samples", type=int, default=1000, help="images of each side and set")
    parser.add_argument("--draws", type=int, default=8, help="sets of real images that deviations are taken over")
    parser.add_argument("--side", type=int, default=64, help="pixels that the network sees")
    parser.add_argument("--without", default="", help="labels of measures to leave out, with commas between")
    parser.add_argument("--page", type=Path, help="a page of Markdown to write the tables into")
    parser.add_argument("--values", type=Path, help="a file of JSON to write the cells of the map into")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    start, data = time.perf_counter(), SETS[options.set](options.folder)
    n = min(options.samples, len(data) // (options.draws + 3))
    without, network = options.without.split(","), EfficientNetLite0(side=options.side)
    rows, columns, left_out = bench(data, n, options.draws, network, without)
    lines = lines_of(rows, options.draws)
    picture = PICTURES / f"sensitivity-{data.name}.png"
    title = f"{n} + {n} images of {data.name}. Red: worse. ·: within ±{THRESHOLD:g}. ×: better. ?: refused"
    heatmap.draw(lines, columns, THRESHOLD, title, picture)
    tables = [
        f"{machine()}, {torch.get_num_threads()} threads: {len(rows)} measures in {time.perf_counter() - start:.0f} s.",
        markdown(("value", *VERDICTS), told(lines, columns)),
        markdown(("measure", "update, ms", "compute, ms", "kept of generated samples"), costs(rows)),
    ]
    print("\n\n".join(tables))
    if options.page:
        write_part(options.page, f"sensitivity {data.name}", "\n\n".join(tables))
    if options.values:
        about = {"images": data.name, "samples": n, "draws": options.draws, "side": options.side, "machine": machine()}
        of_each = {row.measure.label: lines_of([row], options.draws) for row in rows}
        write_values(options.values, about, columns, of_each, left_out)


if __name__ == "__main__":
    main()
