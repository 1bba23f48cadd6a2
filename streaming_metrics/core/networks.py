"""Networks of a metric: what each yields, and how keys, signatures and files name it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from streaming_metrics.core.given_specs import check_name, given_specs
from streaming_metrics.extractors.recorded import record_of
from streaming_metrics.extractors.registry import resolve, takes_of
from streaming_metrics.features import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.measures.base import Measure

DEFAULT_EXTRACTOR = "inception-v3"


@dataclass(frozen=True)
class Network:
    """One of the networks that features come from.

    Args:
        name: by which a measure's ``on=`` asks for it; empty where there is one.
        extractor: None where features are given.
        spec: widths of its features.
    """

    name: str
    extractor: Extractor | None
    spec: Spec

    @cached_property
    def fingerprint(self) -> str:
        """All that changes the features, as one line."""
        if self.extractor is not None:
            return self.extractor.fingerprint
        more = [f"{column}-{width}" for column, width in sorted(self.spec.widths.items())]
        given = ["features", self.spec.num_features, self.spec.num_classes, *more, *([self.name] if self.name else [])]
        return "-".join(map(str, given))

    @cached_property
    def digest(self) -> str:
        """The 8 hex digits of the fingerprint by which the names of states tell networks apart."""
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()[:8]

    @property
    def label(self) -> str:
        """What a signature calls it."""
        return self.extractor.label if self.extractor else f"features-{self.spec.num_features}"

    @property
    def resize(self) -> str:
        """The named resize, as a signature gives it."""
        return self.extractor.resize if self.extractor else "none"

    @property
    def precision(self) -> str:
        """The precision that it runs in."""
        return self.extractor.precision if self.extractor else "fp32"

    @property
    def record(self) -> dict[str, Any]:
        """What a file says of it; JSON holds it."""
        if self.extractor is not None:
            return record_of(self.extractor)
        widths = {"widths": dict(self.spec.widths)} if self.spec.widths else {}
        return {"features": self.spec.num_features, "classes": self.spec.num_classes, **widths}

    def tag_of(self, measure: Measure) -> str | None:
        """Return the suffix of a measure's keys; None for the published Inception, whose names are bare."""
        if self.extractor is None:
            return f"features_{self.name}" if self.name else "features"
        return None if measure.column in self.extractor.published else self.extractor.tag


def networks_of(
    extractor: Any,
    num_features: int | Mapping[str, int] | None = None,
    num_classes: int | Mapping[str, int] | None = None,
    widths: Mapping[str, int] | Mapping[str, Mapping[str, int]] | None = None,
    **options: Any,
) -> tuple[Network, ...]:
    """Return the networks that ``extractor=`` stands for: one, or several by name.

    Args:
        extractor: a name, an extractor or a module; a mapping of such; None where features are given.
        num_features, num_classes: widths of given features; mappings where several networks' are given.
        widths: of further given columns, by name; where several networks' are given, of each.
        options: of a named extractor; those that are None are left out.

    Raises:
        TypeError, ValueError: where the extractor, a name or an option is not as expected.
    """
    if widths and extractor is not None:
        raise ValueError(
            f"widths: expected none beside an extractor, which says its own, got {dict(widths)}. Remedy: an Extractor "
            "whose spec has them, or extractor=None and Features."
        )
    if not isinstance(extractor, Mapping):
        if extractor is None:
            specs = given_specs(num_features, num_classes, {} if widths is None else widths)
            return tuple(Network(name, None, spec) for name, spec in specs.items())
        return (_network("", extractor, options | {"num_features": num_features}),)
    wrong = sorted(name for name, value in options.items() if value is not None and name != "precision")
    if wrong or not extractor:
        raise ValueError(
            f"extractor: expected networks by name, e.g. {{'inception': 'inception-v3', 'dino': DINOv2()}}, each with "
            f"its own options, got {extractor!r} with {wrong}. Remedy: give an Extractor, made with its options."
        )
    networks = tuple(_network(check_name(name), one, options) for name, one in extractor.items())
    return _check_distinct(networks)


def network_of(networks: Sequence[Network], measure: Measure) -> int:
    """Return the place of the network that a measure reads: that of its ``on=``, else of its kind, else the first.

    Raises:
        ValueError: where there is none of that name.
    """
    place = _own_place(networks, measure) if measure.on is None else _named_place(networks, measure)
    extractor = networks[place].extractor
    if extractor is not None:
        measure.check_network(extractor.name, extractor.takes)
    return place


def _named_place(networks: Sequence[Network], measure: Measure) -> int:
    """Return the place of the network that a measure's ``on=`` names."""
    names = [network.name for network in networks]
    if measure.on not in names:
        known = f"got networks {names}" if any(names) else "got one network, without a name"
        raise ValueError(
            f"{measure.describe()}: expected on= to name a network, {known}, not {measure.on!r}. "
            f"Remedy: extractor={{{measure.on!r}: …, …}}, or leave on= out."
        )
    return names.index(str(measure.on))


def read_by(measures: Iterable[Measure], **options: Any) -> str:
    """Return the name of the extractor that measures read where the user names none: the reference Inception, or the
    first of their own where all have one, so that no weights are loaded that nothing reads.

    Args:
        measures: that read it.
        options: that the user gave, by name; any that is not None is the Inception's.

    Example:
        >>> from streaming_metrics import FID, ImageStatistics, SharpnessDifference
        >>> read_by([ImageStatistics(), SharpnessDifference()]), read_by([FID(), ImageStatistics()])
        ('low-level', 'inception-v3')
    """
    own = dict.fromkeys(measure.network if measure.on is None else None for measure in measures)
    if None in own or any(value is not None for value in options.values()):
        return DEFAULT_EXTRACTOR
    return next(iter(own), DEFAULT_EXTRACTOR) or DEFAULT_EXTRACTOR


def with_own(networks: tuple[Network, ...], measures: Iterable[Measure], **options: Any) -> tuple[Network, ...]:
    """Return the networks of images, and behind them those that measures read unless told, where there is none of them.

    The first is then named by its tag, if it had no name.

    Args:
        networks: that the user gave.
        measures: that read them.
        options: of the networks that are added; those that are None are left out.
    """
    wanted = dict.fromkeys(m.network for m in measures if m.on is None and m.network is not None)
    missing = [name for name in wanted if _place_of(networks, name) is None]
    first = networks[0]
    if first.extractor is None or not missing:
        return networks
    for name in missing:
        if takes_of(name) != first.extractor.takes:
            raise _unalike({first.extractor.takes: [first.extractor.name], takes_of(name): [name]})
    named = replace(first, name=first.name or first.extractor.tag)
    return _check_distinct((named, *networks[1:], *(_network(name, name, options) for name in missing)))


def _own_place(networks: Sequence[Network], measure: Measure) -> int:
    """Return the place of a measure's own network; the first where it has none, or given features have its column."""
    if measure.network is None:
        return 0
    place = _place_of(networks, measure.network)
    if place is None and networks[0].spec.width(measure.column) is None:
        raise ValueError(
            f"{measure.describe()}: expected features of {measure.network!r}, got networks "
            f"{[network.name or network.label for network in networks]} without a column {measure.column!r}. Remedy: "
            f"give images; or that extractor's features, with widths= of its columns; or on=."
        )
    return place or 0


def _place_of(networks: Sequence[Network], name: str) -> int | None:
    """Return the place of the extractor of a name, else of what the user named so; None where there is neither."""
    extractors = [network.extractor.name if network.extractor else None for network in networks]
    names = [network.name for network in networks]
    return next((found.index(name) for found in (extractors, names) if name in found), None)


def _network(name: str, extractor: Any, options: Mapping[str, Any]) -> Network:
    made: Extractor | nn.Module = resolve(extractor, **options)
    return Network(name, made, made.spec)


def _check_distinct(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    seen: dict[str, str] = {}
    for network in networks:
        if network.fingerprint in seen:
            raise ValueError(
                f"extractor: expected different networks, got {network.fingerprint!r} as {seen[network.fingerprint]!r} "
                f"and as {network.name!r}. Remedy: give it once; measures share its features."
            )
        seen[network.fingerprint] = network.name
    _check_alike(networks)
    return networks


def _check_alike(networks: Sequence[Network]) -> None:
    """Raise ValueError where some networks take images and others clips: one update gives samples to all."""
    found: dict[str, list[str]] = {}
    for network in networks:
        if network.extractor is not None:
            found.setdefault(network.extractor.takes, []).append(network.extractor.name)
    if len(found) > 1:
        raise _unalike(found)


def _unalike(found: Mapping[str, Sequence[str]]) -> ValueError:
    told = " and ".join(f"{', '.join(names)} of {takes}" for takes, names in found.items())
    return ValueError(
        f"extractor: expected networks that all take images, or all take clips, got {told}. Remedy: a metric of each; "
        "measures of a network of their own bring it."
    )
