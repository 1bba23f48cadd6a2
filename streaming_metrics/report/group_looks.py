"""Groups in the report: what each class or prompt adds to a distance, and how far each class is from its real side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.report.dots import Dots
from streaming_metrics.report.look import Card, Look, pictures_of, signed
from streaming_metrics.statistics.index import ANONYMOUS, EXPLICIT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from streaming_metrics.measures.class_distances import ClassDistances
    from streaming_metrics.measures.contributions import GroupContributions

    Images = Mapping[int, Tensor]

MOST_ROWS = 24
"""Rows of dots; of more groups, those at either end are shown."""


def group_look(found: GroupContributions, fakes: Images, folders: Sequence[str] = ()) -> Look:
    """Return what each class or prompt contributes, in rows of dots and on cards."""
    table, (values, low, high) = found.table, found.amounts
    title = {"class": "Classes", "caption": "Captions", "prompt": "Prompts"}[found.kind]
    names = [_name(found.kind, int(group), folders) for group in table.raw.groups]
    rows = _rows(found.order.tolist(), names, values, low, high)
    unit = "adds to the distance" if found.against_real else "mean influence"
    text = (_AGAINST if found.against_real else _ALONE).format(len(names), found.kind)
    if found.left_out:
        text += f" {found.left_out} with too few images are left out."
    cards = tuple(
        Card(
            names[place],
            "above the others" if found.against_real and table.low[place] > table.centre else "",
            (f"{100 * float(found.shares[place]):.1f} % of the images", f"{unit}: {signed(float(values[place]))}"),
            (),
            pictures_of(examples, fakes, f"Generated, of {names[place]}"),
        )
        for place, examples in zip(found.shown.tolist(), found.examples)
    )
    cards = tuple(card for card in cards if card.fake)
    return Look(f"{title} that make the distance", text, cards=cards, dots=Dots.of(rows, unit, middle=0.0, places=3))


def class_look(found: ClassDistances, folders: Sequence[str] = ()) -> Look:
    """Return each class's distance from its real images, in rows of dots."""
    table = found.table
    names = [_name("class", int(group), folders) for group in table.raw.groups]
    values, low, high = (column.clip(0) for column in (table.values, table.low, table.high))
    rows = _rows(table.by_value, names, values, low, high)
    fewest = min(int(found.real.min()), int(found.fake.min()))
    text = _CLASSES.format(len(names), found.dimensions, found.explained, fewest)
    if found.left_out:
        text += f" {found.left_out} with fewer than 10 images on a side are left out."
    return Look(
        "Distance within classes",
        text,
        dots=Dots.of(rows, "distance within the class", middle=max(table.centre, 0.0), places=3),
    )


def _rows(
    order: Iterable[int], names: Sequence[str], values: NDArray[Any], low: NDArray[Any], high: NDArray[Any]
) -> list[tuple[str, list[dict[str, float]]]]:
    places = [int(place) for place in order]
    if len(places) > MOST_ROWS:
        places = places[: MOST_ROWS * 2 // 3] + places[-(MOST_ROWS // 3) :]
    return [(names[p], [{"value": float(values[p]), "low": float(low[p]), "high": float(high[p])}]) for p in places]


def _name(kind: str, group: int, folders: Sequence[str]) -> str:
    """Return what a group is called; a caption is known by its hash alone."""
    if kind == "class" and folders:
        return folders[group] or "no folder"
    if kind == "caption":
        return f"Caption {group & 0xFFFFFFFF:08x}"
    if kind == "prompt" and group >= ANONYMOUS:  # by arrival
        rank, arrival = divmod(group - ANONYMOUS, EXPLICIT_LIMIT)
        return f"Prompt {arrival}" + f" of rank {rank}" * (rank > 0)
    return f"{'Label' if kind == 'class' else 'Prompt'} {group}"


_AGAINST = (
    "By how much the distance would fall, to first order, were the generated images of each {1} replaced by real ones "
    "of it: {0} in all, drawn towards each other as far as few images leave each unsure (empirical Bayes). Intervals "
    "hold for 95 % of them together. So few images add something by chance alone; what lies above the mean of all is "
    "marked."
)
_ALONE = (
    "Mean influence of the generated images of each {1}, {0} in all, drawn towards each other (empirical Bayes). No "
    "real images of the same are kept to hold them against, so that this ranks what was measured: groups differ even "
    "where nothing is wrong, and intervals hold the noise of each one's own images alone."
)
_CLASSES = (
    "How far the generated images of each of {} labels are from the real ones of it: the Fréchet distance in the {} "
    "directions in which all real images vary most ({:.0%} of their variance; as many as {} images of the smallest "
    "label allow), without the bias of so few images, drawn towards each other, with 95 % intervals; what comes "
    "out below 0 is told as 0. The line is the mean of all. It is no FID, and does not see what differs in other "
    "directions."
)
