"""Keys of results: what is known of each, by the scalars that the measures declare."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from streaming_metrics.measures.base import GROUPS, Scalar
from streaming_metrics.measures.jackknife import with_jackknifed
from streaming_metrics.measures.registry import known_measures
from streaming_metrics.measures.torchmetrics_names import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming_metrics.measures.base import Measure


def key_of(canonical: str, tag: str | None) -> str:
    """Return the key under which a scalar is reported: bare for the reference Inception (``tag=None``), else tagged.

    Example:
        >>> key_of("fid", None), key_of("kid_std", "efficientnet_lite0"), key_of("recall", "features")
        ('fid', 'kd_std_efficientnet_lite0', 'recall_features')
    """
    return parse_key(canonical).scalar.reported(tag)


class ParsedKey(NamedTuple):
    """A reported key, taken apart.

    Args:
        scalar: what is known of it.
        name: the part that names the scalar, ``"kd_std"``.
        prefix: what is before that, ``"val/"``.
        rest: what is after it, parameters and tag: ``"_gamma0_5_dinov2"``.
    """

    scalar: Scalar
    name: str
    prefix: str = ""
    rest: str = ""

    def is_spread_of(self, other: ParsedKey) -> bool:
        """Return whether this is the standard deviation or error of another key of the same measure and network."""
        belongs = (self.prefix, self.rest) == (other.prefix, other.rest)
        return belongs and self.scalar.spread_of == other.scalar.key


def parse_key(key: str) -> ParsedKey:
    """Return what is known of a reported key; one of no known measure is a scalar of which nothing is known.

    Example:
        >>> parsed = parse_key("val/kd_std_efficientnet_lite0")
        >>> parsed.scalar.spread_of, parsed.name, parsed.prefix, parsed.rest
        ('kid', 'kd_std', 'val/', '_efficientnet_lite0')
        >>> parse_key("loss").scalar == Scalar("loss")
        True
    """
    start = key.rfind("/") + 1
    prefix, bare = key[:start], key[start:]
    scalars = known_scalars()
    ends = [match.start() for match in re.finditer("_", bare)]
    for end in [len(bare), *reversed(ends)]:  # the longest name first: kd_std before kd
        if bare[:end] in scalars:
            return ParsedKey(scalars[bare[:end]], bare[:end], prefix, bare[end:])
    return ParsedKey(Scalar(bare), bare, prefix)


def scalar_of(key: str) -> Scalar:
    """Return what is known of a reported key, whatever its prefix, parameters and tag.

    Example:
        >>> scalar_of("fd_dinov2").title, scalar_of("precision_k3").better
        ('Fréchet distance', 'higher')
    """
    return parse_key(key).scalar


def group_of(key: str) -> str:
    """Return the group of the measure that yields a key, ``"own"`` for one of no known measure.

    Example:
        >>> group_of("val/fd_dinov2"), group_of("vendi"), group_of("psnr"), group_of("loss")
        ('core', 'diversity', 'paired', 'own')
    """
    name, groups = parse_key(key).name, _groups_of(tuple(known_measures().values()))
    if name in groups or name not in _declared:
        return groups.get(name, GROUPS[-1])
    return _declared[name][1]


def known_scalars() -> dict[str, Scalar]:
    """Return what measures may yield, in their order, by each name that it is reported under; of two, the first.

    What :func:`declare` was told comes last.
    """
    return _scalars_of(tuple(known_measures().values()), tuple(scalar for scalar, _ in _declared.values()))


def declare(scalars: Iterable[Scalar], group: str = "paired") -> None:
    """Make known what is reported beside measures, metrics of torchmetrics, and its group; of two, the later.

    Like classes of one's own, which are measures once they are imported, it is known to the process from then on: what
    draws charts knows keys alone.

    Raises:
        ValueError: for the key of a measure: a number that is not FID is never called FID.

    Example:
        >>> declare([Scalar("likeness", better="higher")])
        >>> scalar_of("val/likeness").better, group_of("val/likeness")
        ('higher', 'paired')
    """
    declared, of_measures = list(scalars), _groups_of(tuple(known_measures().values()))
    for key in (scalar.key for scalar in declared if scalar.key in of_measures):
        raise ValueError(f"expected another key than {key!r}, which is a measure's. Remedy: {{'other_key': metric}}.")
    _declared.update({scalar.key: (scalar, group) for scalar in declared})


_declared: dict[str, tuple[Scalar, str]] = {named.scalar.key: (named.scalar, named.group) for named in KNOWN.values()}


@lru_cache(maxsize=8)
def _scalars_of(classes: tuple[type[Measure], ...], declared: tuple[Scalar, ...]) -> dict[str, Scalar]:
    scalars: dict[str, Scalar] = {}
    of_measures = (scalar for cls in classes for scalar in with_jackknifed(cls))
    for scalar in (*of_measures, *declared):
        for name in _names_of(scalar):
            scalars.setdefault(name, scalar)
    return scalars


@lru_cache(maxsize=8)
def _groups_of(classes: tuple[type[Measure], ...]) -> dict[str, str]:
    groups: dict[str, str] = {}
    for measure in classes:
        for name in (name for scalar in with_jackknifed(measure) for name in _names_of(scalar)):
            groups.setdefault(name, measure.group)
    return groups


def _names_of(scalar: Scalar) -> list[str]:
    return [name for name in (scalar.key, scalar.elsewhere) if name]
