"""Networks of a metric: what each yields, and how keys, signatures and files name it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from streaming_metrics.arguments import check_integer
from streaming_metrics.extractors.recorded import record_of
from streaming_metrics.extractors.registry import resolve
from streaming_metrics.features import Spec
from streaming_metrics.statistics.base import check_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.measures.base import Measure

NAME = re.compile(r"[A-Za-z0-9_-]+")


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
    widths: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Network, ...]:
    """Return the networks that ``extractor=`` stands for: one, or several by name.

    Args:
        extractor: a name, an extractor or a module; a mapping of such; None where features are given.
        num_features, num_classes: widths of given features; mappings where several networks' are given.
        widths: of further given columns, by name; where several networks' are given, of each by its name.
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
        if extractor is None and isinstance(num_features or num_classes, Mapping):
            return _given(num_features or {}, num_classes or {}, widths or {})
        return (_network("", extractor, num_features, num_classes, options, widths),)
    wrong = sorted(name for name, value in options.items() if value is not None and name != "precision")
    if wrong or not extractor:
        raise ValueError(
            f"extractor: expected networks by name, e.g. {{'inception': 'inception-v3', 'dino': DINOv2()}}, each with "
            f"its own options, got {extractor!r} with {wrong}. Remedy: give an Extractor, made with its options."
        )
    networks = tuple(_network(_checked(name), one, None, None, options) for name, one in extractor.items())
    return _check_distinct(networks)


def network_of(networks: Sequence[Network], measure: Measure) -> int:
    """Return the place of the network that a measure reads: the first, unless it says ``on=``.

    Raises:
        ValueError: where there is none of that name.
    """
    if measure.on is None:
        return 0
    names = [network.name for network in networks]
    if measure.on not in names:
        known = f"got networks {names}" if any(names) else "got one network, without a name"
        raise ValueError(
            f"{measure.describe()}: expected on= to name a network, {known}, not {measure.on!r}. "
            f"Remedy: extractor={{{measure.on!r}: …, …}}, or leave on= out."
        )
    return names.index(measure.on)


def _network(
    name: str, extractor: Any, num_features: Any, num_classes: Any, options: Mapping[str, Any], widths: Any = None
) -> Network:
    if extractor is None:
        return Network(name, None, _spec(num_features, num_classes, widths))
    made: Extractor | nn.Module = resolve(extractor, num_features=num_features, **options)
    return Network(name, made, made.spec)


def _given(num_features: Any, num_classes: Any, widths: Any) -> tuple[Network, ...]:
    names = dict.fromkeys([*num_features, *num_classes])
    specs = {name: _spec(num_features.get(name), num_classes.get(name), widths.get(name)) for name in names}
    return tuple(Network(_checked(name), None, spec) for name, spec in specs.items())


def _spec(num_features: Any, num_classes: Any, widths: Any) -> Spec:
    """Return the widths of given features; raise where those of further columns are none."""
    for column, width in (widths or {}).items():
        check_column(column)
        check_integer(f"widths of {column}", width, least=1)
    return Spec(num_features, num_classes, dict(widths or {}))


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"extractor: expected names of letters, digits, - and _, got {name!r}.")
    return name


def _check_distinct(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    seen: dict[str, str] = {}
    for network in networks:
        if network.fingerprint in seen:
            raise ValueError(
                f"extractor: expected different networks, got {network.fingerprint!r} as {seen[network.fingerprint]!r} "
                f"and as {network.name!r}. Remedy: give it once; measures share its features."
            )
        seen[network.fingerprint] = network.name
    return networks
