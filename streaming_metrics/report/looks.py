"""Looks: sections of the report that show modes, units, a map of features and ways between samples, with pictures."""

from __future__ import annotations

from functools import partial
from math import isfinite
from typing import TYPE_CHECKING

from streaming_metrics import plots
from streaming_metrics.images.shrink import shrunk
from streaming_metrics.plots.feature_map import placed_within, with_room
from streaming_metrics.plots.unit_bars import signed
from streaming_metrics.report.look import SIDE, Card, Look, Mark, Picture, pictures_of
from streaming_metrics.report.pictures import data_uri, grid_of, is_small
from streaming_metrics.report.svg import svg_of
from streaming_metrics.report.why import why_looks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes
    from torch import Tensor

    from streaming_metrics.measures.mode_table import ModeTable
    from streaming_metrics.measures.projection import Projection
    from streaming_metrics.measures.units import Units
    from streaming_metrics.report.findings import Findings

    Images = Mapping[int, Tensor]

SIDE_ON_MAP = 48


def looks_of(
    found: Findings, fakes: Images, reals: Images, ways: Tensor | None = None, trains: Images | None = None
) -> tuple[Look, ...]:
    """Return the sections of what was found.

    Args:
        found: what there is to look at.
        fakes, reals: images ``(3, H, W)`` uint8 by id; none where they cannot be shown.
        ways: ``(ways, steps, 3, H, W)`` uint8, where the model interpolates.
        trains: training images, as the others.
    """
    looks: list[Look] = []
    if found.modes is not None:
        looks.append(mode_look(found.modes, found.shown_modes, fakes, reals))
    if found.projection is not None:
        looks.append(map_look(found.projection, fakes, reals))
    if found.units is not None:
        looks.append(unit_look(found.units, fakes, reals))
    if ways is not None:
        looks.append(way_look(ways))
    return *looks, *why_looks(found.causes, fakes, reals, trains or {})


def mode_look(table: ModeTable, shown: Tensor, fakes: Images, reals: Images) -> Look:
    """Return each mode's shares, in a chart and on cards."""
    counted = int(table.is_mode.sum())
    missing, fewer, more = (int(one.sum()) for one in (table.is_missing, table.is_fewer, table.is_more))
    kind = "labels" if table.is_labelled else "cells of k-means centres of their features"
    text = _MODES.format(counted, kind, missing, fewer, more, 1 - table.alpha)
    words = f"Shares of {counted} modes: {missing} hold no generated image, {fewer} significantly fewer than real ones."
    cards = tuple(_mode_card(table, mode, fakes, reals) for mode in shown.tolist())
    if isfinite(table.distance_ratio):
        text += _DISTANCE.format(table.distance_ratio)
    text += _NEAREST + (f" The {len(cards)} that lack generated images most:" if len(cards) < counted else "")
    return Look("Modes", text, _chart(partial(plots.modes, table), 2.4, "Modes"), words, cards)


def _mode_card(table: ModeTable, mode: int, fakes: Images, reals: Images) -> Card:
    low, high = (end[mode] for end in table.interval)
    flags = {"missing": table.is_missing, "fewer": table.is_fewer, "more": table.is_more}
    lines = [
        f"real {_percent(table.real_share[mode])}",
        f"generated {_percent(table.fake_share[mode])} ({100 * float(low):.1f} to {100 * float(high):.1f})",
    ]
    if table.fake[mode] and table.real_distance[mode] > 0:
        ratio = float(table.fake_distance[mode] / table.real_distance[mode])
        lines.append(f"at {ratio:.2f} times the distance")
    return Card(
        f"{'Label' if table.is_labelled else 'Mode'} {mode}",
        next((flag for flag, holds in flags.items() if holds[mode]), ""),
        tuple(lines),
        pictures_of(table.real_examples[mode], reals, "Real, of this mode"),
        pictures_of(table.fake_examples[mode], fakes, "Generated, of this mode"),
    )


def unit_look(found: Units, fakes: Images, reals: Images) -> Look:
    """Return the units that tell the sides apart, in a chart and on cards."""
    cards = tuple(
        Card(
            f"Unit {unit}",
            f"{signed(difference)} σ",
            (f"higher in {'generated' if difference > 0 else 'real'} images",),
            pictures_of(found.real_examples[place], reals, "Real, exciting this unit"),
            pictures_of(found.fake_examples[place], fakes, "Generated, exciting this unit"),
        )
        for place, (unit, difference) in enumerate(zip(found.places.tolist(), found.difference.tolist()))
    )
    has_pictures = any(card.real or card.fake for card in cards)
    words = "; ".join(f"{card.title} {card.flag}" for card in cards)
    text, chart = (
        _UNITS if has_pictures else _NO_UNITS,
        _chart(partial(plots.units, found), 0.5 + 0.24 * len(found), "Units"),
    )
    return Look("Units that tell the sides apart", text, chart, words, cards if has_pictures or not chart else ())


def map_look(found: Projection, fakes: Images, reals: Images) -> Look:
    """Return the map of features, with pictures where there is room."""
    shown = set(with_room(found, reals, fakes))
    first, second = found.explained.tolist()
    marks = [
        Mark(
            round(100 * left, 1),
            round(100 * bottom, 1),
            is_fake,
            _mapped(number, is_fake, fakes if is_fake else reals) if (is_fake, place) in shown else None,
        )
        for is_fake, ids, points in zip((False, True), (found.real_ids, found.fake_ids), placed_within(found))
        for place, (number, (left, bottom)) in enumerate(zip(ids.tolist(), points.tolist()))
    ]
    marks.sort(key=lambda mark: mark.picture is not None)  # pictures above points
    text = _MAP.format(len(found.real_ids), len(found.fake_ids), first, second)
    words = f"Map of {len(found.real_ids)} real and {len(found.fake_ids)} generated images"
    return Look("Map of features", text, words=words, marks=tuple(marks))


def way_look(ways: Tensor) -> Look:
    """Return ways between samples, a row each."""
    small = shrunk(ways.flatten(0, 1), SIDE)
    picture = Picture(data_uri(grid_of(small, ways.shape[1]), is_small(small)), _WAY_WORDS.format(*ways.shape), False)
    return Look("Between samples", _WAYS, strip=picture._replace(is_small=is_small(small)))


def _chart(draw: Callable[[Axes], Axes], height: float, name: str) -> str:
    """Return a chart as SVG; empty without matplotlib: cards say the same."""
    try:
        return svg_of(draw(plots.new_axes(5, height)), name)
    except ModuleNotFoundError:
        return ""


def _mapped(number: int, is_fake: bool, images: Images) -> Picture:
    return Picture.of(images[number], "Generated" if is_fake else "Real", SIDE_ON_MAP)


def _percent(share: Tensor) -> str:
    return f"{100 * float(share):.1f} %"


_MODES = (
    "{} modes of the real images: {}. {} hold no generated image, {} significantly fewer than real ones, {} more. A "
    "line is a mode's share of the real images, a point that of the generated ones with its {:.0%} interval."
)
_DISTANCE = (
    " Generated images are {:.2f} times as far from the centres of their modes as real ones: below 1, modes are "
    "collapsed."
)
_NEAREST = " Pictures are the nearest to the centre that there are."
_MAP = (
    "{} real and {} generated images, chosen by their numbers, placed by the two directions in which real features "
    "vary most: {:.0%} and {:.0%} of the variance. The map stays from one measurement to the next."
)
_DIFFER = (
    "The features whose means differ most, in standard deviations: positive where generated images excite them more. "
)
_UNITS = _DIFFER + "Below, the images of either side that excite them most."
_NO_UNITS = _DIFFER + (
    "No measure here keeps features of both sides, so which images excite them is not known. PRDC() or KID() shows it."
)
_WAYS = "Each row goes from one sample to another, the same ones every time."
_WAY_WORDS = "{} ways between samples, {} steps each"
