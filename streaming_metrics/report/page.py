"""Page of a report: one HTML file that needs no network, and nothing beside it."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.plots.result_keys import arrow, column, leading, number, spread_of
from streaming_metrics.report import charts
from streaming_metrics.report.gallery import NO_FEATURES, PAIRS, Gallery, Selection
from streaming_metrics.report.history import History
from streaming_metrics.report.pictures import shrunk
from streaming_metrics.signature import Signature, library_version
from streaming_metrics.statistics.index import ordinal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.closest import ClosestPairs
    from streaming_metrics.core.nearest_samples import NearestSamples
    from streaming_metrics.core.shell import GenerativeMetrics

TEMPLATE = Path(__file__).with_name("page.html")
SIDE = 128


class Score(NamedTuple):
    """A value as a page shows it: digits, its spread, what is better, and the best of all epochs."""

    key: str
    name: str
    value: str
    spread: str
    better: str
    best: str


def write_comparison(
    path: str | Path,
    *,
    metric: GenerativeMetrics,
    values: Mapping[str, Tensor],
    real: Any = None,
    fake: Any = None,
    about: Iterable[tuple[str, str]] = (),
) -> None:
    """Write the report of one comparison; collective: every rank calls it, rank 0 writes.

    Galleries need a measure that keeps features of both sides, PRDC or KID. The file stays below 3 MB.

    Args:
        path: of the HTML file; one that was there is replaced only once the new one is whole.
        metric: after ``compute``.
        values: what that returned.
        real, fake: ``dataset[i]`` is the image ``(3, H, W)`` uint8 that ``update`` was given with id i; None where the
            images cannot be read again.
        about: what else is to be known of the values, by name: warnings, sources, what was left out of them, a date.

    Raises:
        OSError: on every rank, where rank 0 cannot write.
    """
    around, closest = metric.neighbourhood(), metric.closest_pairs(PAIRS)

    def write() -> None:
        history = History("comparison")
        history.note(0, values, metric)
        history.about = list(about)
        history.gallery = Gallery(NO_FEATURES) if around is None else _gallery_of(around, closest, real, fake)
        write_report(path, [history], "Generated images against real ones")

    metric.ranks().on_first(write, f"write_comparison({str(path)!r})")


def _gallery_of(around: NearestSamples, closest: ClosestPairs | None, real: Any, fake: Any) -> Gallery:
    selection, pairs = Selection.of(around), torch.empty(0) if closest is None else closest.ids.flatten()
    fakes = _read(fake, torch.cat([selection.fakes(around), pairs.long()]).unique())
    reals = _read(real, selection.reals(around))
    missing = [role for role, images in (("generated", fakes), ("real", reals)) if images is None]
    told = f"The {' and the '.join(missing)} images cannot be read again, and are left out." if missing else ""
    return Gallery.of(around, selection, fakes, reals, missing=told, closest=closest)


def write_report(path: str | Path, histories: Sequence[History], title: str) -> None:
    """Write the report of what histories have noted, atomically."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    page = rendered(histories, title)
    with atomic_write(path) as partial:
        partial.write_text(page, encoding="utf-8", errors="backslashreplace")  # file names may be no text


def rendered(histories: Sequence[History], title: str) -> str:
    """Return the page; all that histories hold is escaped.

    Args:
        histories: those without an epoch are left out.
        title: of the page.
    """
    from jinja2 import Environment, StrictUndefined

    histories = [history for history in histories if history.rows]
    house = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    house.filters["number"] = number
    return house.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        histories=histories,
        summary=_summary(histories),
        scores={history.name: scores(history) for history in histories},
        curves=charts.over_epochs(histories),
        trade_offs=charts.trade_offs(histories),
        keys={history.name: leading(history.rows) for history in histories if len(history.rows) > 1},
        version=library_version(),
    )


def scores(history: History) -> list[Score]:
    """Return the latest values, and which were the best."""
    keys = leading(history.rows)
    names = charts.short_names(keys)
    return [_score(history, key, names[key]) for key in keys]


def _score(history: History, key: str, name: str) -> Score:
    better = arrow(key)
    value, spread = (column(history.rows, one)[-1] for one in (key, spread_of(key, history.rows)))
    told = [(v, place) for place, v in enumerate(column(history.rows, key)) if isfinite(v)]
    best = ""
    if better and len(told) > 1:
        value_then, place = (min if better == "↓" else max)(told)
        is_latest = place == len(history.rows) - 1
        best = "best so far" if is_latest else f"best {number(value_then)}, epoch {history.moments[place]}"
    return Score(key, name, number(value), f"± {number(spread)}" if isfinite(spread) else "", better, best)


def _summary(histories: Sequence[History]) -> str:
    try:
        signature = Signature.parse(histories[0].signature)
    except (IndexError, ValueError):
        return ""
    fake, real = (f"{n:,}" if isinstance(n, int) else n for n in (signature.fake, signature.real))
    return f"{fake} generated against {real} real images, by {signature.extractor}"


def _read(dataset: Any, ids: Tensor) -> dict[int, Tensor] | None:
    if dataset is None:
        return None
    places = zip(ids.tolist(), ordinal(ids).tolist())
    return {number: shrunk(dataset[place][None], SIDE)[0] for number, place in places}
