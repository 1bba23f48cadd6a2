"""Charts: plots as SVG inside a page, in the page's own colours and type, so that they follow light and dark."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics import plots
from streaming_metrics.measures.keys import ParsedKey, parse_key
from streaming_metrics.plots.result_keys import column, find, find_both, grouped, leading, number, only
from streaming_metrics.report.svg import svg_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.plots.result_keys import Panel, Row
    from streaming_metrics.report.history import History

MOST_POINTS = 120
TRADE_OFFS = (("recall", "precision"), ("coverage", "density"))
STYLES = ("-", "--", ":", "-.")


class Chart(NamedTuple):
    """A drawing, its heading, what it says in words, and the group of its measures."""

    title: str
    svg: str
    words: str
    group: str = ""

    @property
    def name(self) -> str:
        """The heading, without an arrow."""
        return self.title.rstrip(" ↓↑")


def over_epochs(histories: Sequence[History]) -> list[Chart]:
    """Return a chart for each panel of measures that share a scale; none where there is but one measurement.

    They go over epochs, or over steps where an epoch has several measurements.
    """
    if max((len(history.rows) for history in histories), default=0) < 2:
        return []
    keys = dict.fromkeys(key for history in histories for key in leading(history.rows))
    by_step = any(h.shares_epochs for h in histories) and not any(None in h.steps for h in histories)
    return [_curves(panel, of, histories, "step" if by_step else "epoch") for panel, of in grouped(keys)]


def check_charts(keys: Sequence[str]) -> None:
    """Raise ModuleNotFoundError where a comparison's charts of ``keys`` need matplotlib, and it is missing."""
    if any(find([dict.fromkeys(keys, 0.0)], key) for pair in TRADE_OFFS for key in pair):
        plots.new_figure(1, 1)


def trade_offs(histories: Sequence[History]) -> list[Chart]:
    """Return precision over recall and density over coverage, where they were measured."""
    charts = []
    for keys in TRADE_OFFS:
        measured = [h for h in histories if h.rows and find_both(h.rows, keys)]
        if measured:
            charts.append(_scatter(f"{keys[1].capitalize()} over {keys[0]}", keys, measured))
    return charts


def _curves(panel: Panel, keys: Sequence[str], histories: Sequence[History], unit: str) -> Chart:
    ax, said, names = plots.new_axes(3.3, 2.3), [], short_names(keys)
    title = panel.heading
    for style, history in zip(cycle(STYLES), histories):
        places, rows = _thinned(history, unit)
        rows = only(rows, keys)
        name, marker = _told_apart(history, histories), "o" if len(rows) <= 40 else ""
        if leading(rows):
            plots.curves(rows, ax, epochs=places, names=names, label=name, linestyle=style, marker=marker)
            said += [f"{names[key]}{name and f' {name}'} {_course(rows, key)}" for key in leading(rows)]
    ax.xaxis.label.set_text(unit)
    return Chart(title, svg_of(ax, title), f"{title}, {unit} by {unit}: {'; '.join(said)}.", panel.group)


def _scatter(title: str, keys: tuple[str, str], histories: Sequence[History]) -> Chart:
    ax, said = plots.new_axes(3.3, 3), []
    for colour, history in zip(cycle(plots.COLOURS), histories):
        epochs, rows = _thinned(history)
        label = _told_apart(history, histories)
        plots.pr_scatter(rows, ax, keys=keys, epochs=epochs, color=colour, label=label)
        found = find_both(rows, keys) or keys
        said += [f"{label and f'{label} '}{name} {_course(rows, key)}" for name, key in zip(keys, found)]
    return Chart(title, svg_of(ax, title), f"{title}: {'; '.join(said)}.")


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return names as short as tell the keys apart.

    Example:
        >>> short_names(["kd_x", "is_x", "is_y", "recall_net_7", "recall_k3_net_7"])
        {'kd_x': 'kd', 'is_x': 'is_x', 'is_y': 'is_y', 'recall_net_7': 'recall', 'recall_k3_net_7': 'recall_k3'}
    """
    parsed = {key: parse_key(key) for key in keys}
    alike = {one.name: [other for other in parsed.values() if other.name == one.name] for one in parsed.values()}
    names = {key: _without_end(one, _shared_end(alike[one.name])) for key, one in parsed.items()}
    told = list(names.values())
    return {key: elided(name if told.count(name) == 1 else key) for key, name in names.items()}


def _without_end(key: ParsedKey, words: int) -> str:
    rest = key.rest.split("_")
    return "_".join([key.name, *rest[1 : len(rest) - words]])


def _shared_end(keys: Sequence[ParsedKey]) -> int:
    """Return how many words at the end all keys share, behind their names."""
    ends = [key.rest.split("_")[:0:-1] for key in keys]
    differ = [len({*words}) > 1 for words in zip(*ends)]
    return differ.index(True) if True in differ else len(differ)


def elided(text: str, most: int = 18) -> str:
    """Return a text with its middle left out where it is long.

    Example:
        >>> elided("precision_efficientnet_lite0", most=11)
        'preci…lite0'
    """
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def _told_apart(history: History, histories: Sequence[History]) -> str:
    return elided(history.name, 9) if len(histories) > 1 else ""


def _thinned(history: History, unit: str = "epoch") -> tuple[list[int], list[Row]]:
    """Return the epochs, or steps, and rows, at most about ``MOST_POINTS`` of them, the last included."""
    stride = -(-len(history.rows) // MOST_POINTS)
    places = history.steps if unit == "step" else history.epochs
    return [place for place in places if place is not None][::-stride][::-1], list(history.rows[::-stride][::-1])


def _course(rows: Sequence[Row], key: str) -> str:
    first, last = (number(value) for value in (column(rows, key)[0], column(rows, key)[-1]))
    return first if len(rows) == 1 else f"from {first} to {last}"
