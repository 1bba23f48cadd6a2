"""Why a score is what it is: sections of the report with images, classes and directions, and copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming_metrics.report.gallery import Item, Section
from streaming_metrics.report.group_looks import class_look, group_look
from streaming_metrics.report.look import Card, Look, Picture, pictures_of, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from streaming_metrics.core.copies import Copies
    from streaming_metrics.measures.contributions import Contributions, Explained
    from streaming_metrics.measures.directions import Directions
    from streaming_metrics.report.causes import Causes

    Images = Mapping[int, Tensor]


def why_looks(causes: Causes, fakes: Images, reals: Images, trains: Images) -> list[Look]:
    """Return the sections that say why a distance is what it is, and what it would take to say more.

    Args:
        causes: what was found.
        fakes, reals, trains: images ``(3, H, W)`` uint8 by id; none where they cannot be shown.
    """
    looks: list[Look] = []
    if causes.explained:
        looks += image_looks(causes.explained, causes.among, fakes, reals)
        looks += [group_look(causes.explained.groups, fakes, causes.names)] if causes.explained.groups else []
    looks += [class_look(causes.classes, causes.names)] if causes.classes else []
    looks += [direction_look(causes.directions, fakes, reals)] if causes.directions else []
    if causes.copies:
        looks.append(copy_look(causes.copies, causes.copied, fakes, trains if causes.copies.role == "train" else reals))
    hints = hints_of(causes)
    return [*looks, Look("What more could be told", " ".join(hints))] if looks and hints else looks


def image_looks(found: Explained, among: Tensor | None, fakes: Images, reals: Images) -> list[Look]:
    """Return the images that raise and lower the distance most."""
    sections = []
    if found.fake:
        highest, lowest = (pick(8, among) for pick in (found.fake.highest, found.fake.lowest))
        sections += [
            Section("Generated, raising it most", "", _items(found.fake, highest, fakes, "Generated")),
            Section("Generated, lowering it most", "", _items(found.fake, lowest, fakes, "Generated")),
        ]
    if found.real:
        text = "Of their like there are too few generated ones: by their loss the distance would fall most."
        sections.append(Section("Real, missed most", text, _items(found.real, found.real.highest(8), reals, "Real")))
    sections = tuple(section for section in sections if section.items)
    if not sections or found.fake is None:
        return []
    searched = len(found.fake.index)
    of = f"Of {searched:,} generated images" + (
        f" kept of {found.fake.num_samples:,}" * (searched < found.fake.num_samples)
    )
    return [Look("Images that make the distance", _IMAGES.format(found.distance, of), sections=sections)]


def _items(found: Contributions, places: Tensor, images: Images, side: str) -> tuple[Item, ...]:
    shown = [(int(found.index[place]), float(found.values[place])) for place in places.tolist()]
    return tuple(
        Item((picture.uri,), (picture.words,), signed(value), picture.is_small)
        for number, value in shown
        if number in images
        for picture in [Picture.of(images[number], f"{side}, {signed(value)}")]
    )


def direction_look(found: Directions, fakes: Images, reals: Images) -> Look:
    """Return the directions in which the sides differ, with the images that lie farthest along them."""
    cards = [
        Card(
            "Means",
            "shifted",
            (_part(found.shift, found.distance), "farthest against and along the shift"),
            pictures_of(found.shift_real_examples, reals, "Real, where generated images are not"),
            pictures_of(found.shift_fake_examples, fakes, "Generated, where real images are not"),
        )
    ]
    rows = zip(found.parts.tolist(), found.real_spread.tolist(), found.fake_spread.tolist())
    for place, (part, real, fake) in enumerate(rows):
        ratio = f"{fake / real:.2f}" if real > 0 else "∞"
        cards.append(
            Card(
                f"Direction {place + 1}",
                "missing" if fake < real else "invented",
                (_part(part, found.distance), f"generated vary {ratio} times as much"),
                pictures_of(found.real_examples[place], reals, "Real, far along this direction"),
                pictures_of(found.fake_examples[place], fakes, "Generated, far along this direction"),
            )
        )
    told, others = float(found.parts.sum()), found.total - len(found)
    text = _DIRECTIONS.format(found.distance, found.shift, told, len(found))
    if others:
        text += _OTHERS.format(found.distance - found.shift - found.outside - told, others)
    if found.outside > 1e-6 * found.distance:
        text += _OUTSIDE.format(found.outside)
    if found.spanned < found.total:
        text += _UNSPANNED.format(found.spanned, found.total)
    text += _NOISE
    return Look("Missing and invented variation", text, cards=tuple(cards))


def copy_look(found: Copies, places: Tensor, fakes: Images, trains: Images) -> Look:
    """Return the generated images nearest to a training image, beside it."""
    low, high = found.interval
    whose = "training" if found.role == "train" else "real"
    text = _COPIES.format(len(found.fake), found.num_train, whose, found.authentic, low, high)
    if found.role != "train":
        text += " The real images stand for the training images here: it says something of memory only if they are."
    items = []
    for place in places.tolist():
        ids = int(found.fake[place]), int(found.nearest[place])
        ratio, pair = (
            float(found.ratio[place]),
            [of[number] for number, of in zip(ids, (fakes, trains)) if number in of],
        )
        if ids[0] in fakes:
            items.append(
                Item.of(pair, ["Generated", f"The nearest {whose} image, at {ratio:.2f} of its own distance"], ratio)
            )
    sections = (Section("", "", tuple(items)),) if items else ()
    return Look(f"Nearest to {whose} images", text, sections=sections)


def hints_of(causes: Causes) -> list[str]:
    """Return what would make more known, a line each."""
    hints = [] if causes.has_distance else [_NO_DISTANCE]
    if causes.explained and causes.explained.fake is None:
        hints.append(_NO_IMAGES)
    elif causes.explained and causes.explained.groups is None:
        hints.append(_NO_GROUPS)
    if not causes.has_train:
        hints.append(_NO_TRAIN)
    return hints


def _part(part: float, whole: float) -> str:
    return f"adds {part:.3g}, {100 * part / whole:.0f} %"


_IMAGES = (
    "The Fréchet distance is {:.3g}. {}, those by whose loss it would fall most, and rise most; below each, by how "
    "much to first order. An image with much variation of its own kind raises it where such images are too many, and "
    "lowers it where they are too few."
)
_DIRECTIONS = (
    "The Fréchet distance is a sum: {0:.3g} is {1:.3g} for the difference of means and {2:.3g} for these {3} "
    "directions of the features, along which generated images vary less than real ones (missing) or more (invented). "
    "Pictures lie farthest along each direction."
)
_OTHERS = " {:.3g} is for {:,} other directions."
_NOISE = " Some of each part is what so few samples make of nothing: the corrected distance tells of how much."
_UNSPANNED = (
    " So few generated images span no more than {:,} of {:,} directions, and vary in no other: some of what is missing "
    "is for want of images alone."
)
_OUTSIDE = " {:.3g} is variance of generated images where real ones have none."
_COPIES = (
    "Of {:,} generated images, held against {:,} {} ones, a share of {:.3f} is authentic ({:.3f} to {:.3f}): farther "
    "from the nearest of these than its own nearest neighbour is. Of new images of the very same distribution only "
    "about half to four fifths are, so that the share alone is no sign of memory. Those nearest come first; below, the "
    "distance in units of that neighbour's. Near in features is no proof of a copy: look."
)
_NO_DISTANCE = "Which images and directions make a difference is told where FID() is measured."
_NO_IMAGES = (
    "Which images make the distance, and which lie near to training images, is not known, since no features of "
    "generated images are kept: FID(se=True) keeps 2,000."
)
_NO_GROUPS = (
    "Which classes or prompts make the distance is not known: a measure that keeps labels of both sides shows classes, "
    "such as IntraFID(classes=…) or Modes(classes=…), and FID(se=True, cluster=…) prompts of several images each."
)
_NO_TRAIN = (
    "Whether training images were memorised is told by AuthPct() with training images: train=… of a monitor, "
    'role="train" of a metric.'
)
