"""Page of a report: one HTML file that needs no network, and nothing beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.images.shrink import shrunk
from streaming_metrics.images.stills import stills_of
from streaming_metrics.measures.base import GROUPS
from streaming_metrics.plots.result_keys import arrow, by_group, leading, number
from streaming_metrics.report import charts
from streaming_metrics.report.findings import Findings
from streaming_metrics.report.folders import Folders
from streaming_metrics.report.gallery import NO_FEATURES, Gallery
from streaming_metrics.report.history import History
from streaming_metrics.report.looks import looks_of
from streaming_metrics.report.score_cards import scores
from streaming_metrics.report.study import study_view
from streaming_metrics.report.study_parts import Study
from streaming_metrics.signature import Signature, library_version
from streaming_metrics.statistics.index import ordinal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.core.shell import GenerativeMetrics
    from streaming_metrics.report.sides import SidesTable

TEMPLATES = Path(__file__).parent
SIDE = 128
MOST_OPEN = 12
"""Values, or charts, up to which no group of them is folded."""
MOST_TOLD = 5
"""Names of values that stand beside the name of their group."""


class Block(NamedTuple):
    """Block of a page that can be folded: the values or charts of one group of measures, and what they are called."""

    title: str
    told: str
    items: Sequence[Any]
    is_open: bool


def write_comparison(
    path: str | Path,
    *,
    metric: GenerativeMetrics,
    values: Mapping[str, Tensor],
    real: Any = None,
    fake: Any = None,
    train: Any = None,
    about: Iterable[tuple[str, str]] = (),
    study: Mapping[str, Any] | None = None,
) -> None:
    """Write the report of one comparison; collective: every rank calls it, rank 0 writes.

    Galleries, modes and the map need a measure that keeps features of both sides, PRDC or KID. The file stays below
    3 MB.

    Args:
        path: of the HTML file; one that was there is replaced only once the new one is whole.
        metric: after ``compute``.
        values: what that returned.
        real, fake, train: ``dataset[i]`` is the image ``(3, H, W)`` uint8 that ``update`` was given with id i; None
            where the images cannot be read again.
        about: what else is to be known of the values, by name: warnings, sources, what was left out of them, a date.
        study: results of a study of such images, which are shown beside the values; None for none.

    Raises:
        OSError: on every rank, where rank 0 cannot write.
    """
    history = comparison_history(metric=metric, values=values, real=real, fake=fake, train=train, about=about)

    def write() -> None:
        write_report(path, [history], "Generated images against real ones", study)

    metric.ranks().on_first(write, f"write_comparison({str(path)!r})")


def comparison_history(
    name: str = "comparison",
    *,
    metric: GenerativeMetrics,
    values: Mapping[str, Tensor],
    real: Any = None,
    fake: Any = None,
    train: Any = None,
    about: Iterable[tuple[str, str]] = (),
) -> History:
    """Return what a report shows of one comparison, on rank 0; collective.

    Args:
        name: tells it from others in one report.
        metric, values, real, fake, train, about: as of :func:`write_comparison`.
    """
    found, history = Findings.of(metric, folders=Folders.of(real, fake, metric.ranks())), History(name)

    def look() -> None:
        history.note(0, values, metric)
        history.about = list(about)
        fakes, reals = _read(fake, found.fakes()), _read(real, found.reals())
        history.gallery = _gallery_of(found, fakes, reals)
        trains = _read(train, found.causes.trains())
        history.looks = looks_of(found, fakes or {}, reals or {}, trains=trains or {})

    metric.ranks().on_first(look, f"comparison_history({name!r})")
    return history


def _gallery_of(found: Findings, fakes: Mapping[int, Tensor] | None, reals: Mapping[int, Tensor] | None) -> Gallery:
    if found.around is None or found.selection is None:
        return Gallery(NO_FEATURES)
    missing = [role for role, images in (("generated", fakes), ("real", reals)) if images is None]
    told = f"The {' and the '.join(missing)} images cannot be read again, and are left out." if missing else ""
    return Gallery.of(found.around, found.selection, fakes, reals, missing=told, closest=found.closest)


def write_report(
    path: str | Path,
    histories: Sequence[History],
    title: str,
    study: Mapping[str, Any] | Study | None = None,
    tables: Sequence[SidesTable] = (),
) -> None:
    """Write the report of what histories have noted, and of what a study found, atomically."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    page = rendered(histories, title, study, tables)
    with atomic_write(path) as partial:
        partial.write_text(page, encoding="utf-8", errors="backslashreplace")  # file names may be no text


def write_study(path: str | Path, results: Mapping[str, Any]) -> None:
    """Write the report of a study alone, atomically.

    Args:
        path: of the HTML file.
        results: what :func:`streaming_metrics.ratings.results.results` returned, or a file of them holds.
    """
    write_report(path, [], f"What people say of {results['study'].rpartition('-')[0]}", results)


def rendered(
    histories: Sequence[History],
    title: str,
    study: Mapping[str, Any] | Study | None = None,
    tables: Sequence[SidesTable] = (),
) -> str:
    """Return the page; all that histories and studies hold is escaped.

    Args:
        histories: those without an epoch are left out.
        title: of the page.
        study: results of a study, or sections made of other results; None for none.
        tables: of several generated sides beside each other.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    histories = [history for history in histories if history.rows]
    options = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    house = Environment(loader=FileSystemLoader(TEMPLATES), **options)
    house.filters["number"] = number
    view = study if study is None or isinstance(study, Study) else study_view(study)
    return house.get_template("page.html").render(
        title=title,
        histories=histories,
        study=view,
        tables=tables,
        summary=_summary(histories) if histories or view is None else view.summary,
        scores={history.name: _blocks(scores(history)) for history in histories},
        curves=_blocks(charts.over_epochs(histories)),
        trade_offs=charts.trade_offs(histories),
        keys={history.name: by_group(leading(history.rows)) for history in histories if len(history.rows) > 1},
        exact={history.name: exact_values(history) for history in histories},
        version=library_version(),
    )


def exact_values(history: History) -> dict[str, list[tuple[str, float, str]]]:
    """Return the latest values in full, with what is better, by group of their measures."""
    latest = history.rows[-1]
    groups = by_group(latest)
    return {group: [(key, latest[key], arrow(key)) for key in keys] for group, keys in groups.items()}


def _blocks(items: Sequence[Any]) -> list[Block]:
    """Return what is of one group together, in the order of groups; all but the first folded where there is much."""
    by_name = {group: [item for item in items if item.group == group] for group in GROUPS}
    found = [(group, of) for group, of in by_name.items() if of]
    few = len(items) <= MOST_OPEN
    return [Block(group.capitalize(), _told(of), of, few or not place) for place, (group, of) in enumerate(found)]


def _told(items: Sequence[Any]) -> str:
    names, more = ", ".join(item.name for item in items[:MOST_TOLD]), len(items) - MOST_TOLD
    return f"{names} and {more} more" if more > 0 else names


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
    return {number: shrunk(stills_of(dataset[place][None]), SIDE)[0] for number, place in places}
