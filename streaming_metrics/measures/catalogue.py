"""Catalogue of measures: what tables say of each, read off its class, its docstring and its statistics.

``python -m streaming_metrics.measures.catalogue`` writes it where lists of measures read it.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from sys import modules
from typing import TYPE_CHECKING, Any, NamedTuple

from streaming_metrics.extractors.names import WITHOUT_WEIGHTS
from streaming_metrics.features import SAMPLE_COLUMNS
from streaming_metrics.measures.base import GROUPS
from streaming_metrics.measures.docstrings import arguments_of, as_markdown, paragraphs_of
from streaming_metrics.measures.errors import has_error, with_error
from streaming_metrics.measures.facts import FILE, REQUIRED, ErrorTold, MeasureFacts, dumped
from streaming_metrics.measures.options import needed_of as needed_of
from streaming_metrics.measures.options import options_of
from streaming_metrics.measures.registry import MEASURES, class_of
from streaming_metrics.measures.sizes import Kept, TypicalSpec, kept_by

if TYPE_CHECKING:
    from collections.abc import Collection

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Measure, Scalar
    from streaming_metrics.measures.facts import Kind
    from streaming_metrics.statistics import Statistic

LEAST = {int: 2, float: 1.0, str: "a"}
"""What stands for a parameter that has no default, by its type."""


@dataclass(frozen=True)
class Entry:
    """Entry of one measure.

    Args:
        measure: with its defaults.
    """

    measure: Measure

    @property
    def cls(self) -> type[Measure]:
        return type(self.measure)

    @property
    def label(self) -> str:
        return self.measure.label

    @property
    def group(self) -> str:
        return self.measure.group

    @property
    def of_clips(self) -> bool:
        """Whether it is of clips alone."""
        return self.measure.takes == "clips"

    @property
    def paper(self) -> str:
        return self.measure.paper

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return self.measure.scalars

    @property
    def call(self) -> str:
        """How it is made: ``FID()``, ``IntraFID(classes=…)``."""
        return f"{self.cls.__name__}({', '.join(f'{name}=…' for name in needed_of(self.cls))})"

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters, with their defaults; ``…`` where there is none."""
        defaults = {f.name: f.default for f in fields(self.cls) if f.repr}
        return {name: ... if default is MISSING else default for name, default in defaults.items()}

    @property
    def arguments(self) -> dict[str, str]:
        """What each parameter is, as Markdown, of its docstring and those of the classes that it derives from; empty
        where none says it.
        """
        told: dict[str, str] = {}
        for cls in reversed(self.cls.__mro__):
            told |= arguments_of(vars(cls).get("__doc__") or "")
        return {name: told.get(name, "") for name in self.parameters}

    @property
    def kind(self) -> Kind:
        """Its class, read off what it keeps of generated samples."""
        if self.measure.fixed is not None:
            return "fixed side"
        return "bank" if any(statistic.is_sharded for statistic in self.statistics["fake"]) else "additive"

    @property
    def error(self) -> str:
        """How its standard error is had: ``"always"``, ``"se=True"``; empty where there is none."""
        if any(scalar.about for scalar in self.scalars):
            return "always"
        return "se=True" if has_error(self.cls) or self.measure.jackknifed else ""

    @property
    def about_error(self) -> str:
        """What intervals by its standard errors are about, in words."""
        told = (scalar.about for scalar in with_error(self.measure).scalars)
        return "; ".join(dict.fromkeys(filter(None, told)))

    @property
    def reads(self) -> dict[Role, tuple[str, ...]]:
        """The columns that it reads of each role, in both of its forms."""
        forms = (self.statistics, self._statistics_bound)
        by_role = {role: [s for form in forms for s in form.get(role, ())] for role in self.statistics}
        return {role: tuple(dict.fromkeys(c for s in of for c in s.columns)) for role, of in by_role.items()}

    @property
    def network(self) -> str | None:
        """The extractor of its own, which comes with it where there are images."""
        return getattr(self.measure, "network", None)

    @property
    def is_of_weights(self) -> bool:
        """Whether its own network has weights, which must be fetched or given."""
        return self.network is not None and self.network not in WITHOUT_WEIGHTS

    @property
    def columns(self) -> set[str]:
        """The columns that it reads of any role."""
        return {column for columns in self.reads.values() for column in columns}

    @property
    def kept(self) -> Kept:
        """What is kept of generated samples, before any side is frozen."""
        return kept_by(self.statistics["fake"])

    @property
    def kept_bound(self) -> Kept:
        """What is kept of generated samples, once all other sides are frozen."""
        return kept_by(self._statistics_bound["fake"])

    @property
    def definition(self) -> str:
        """The first paragraph of its docstring, as Markdown."""
        return self._paragraphs[0]

    @property
    def details(self) -> str:
        """The paragraphs after that, before the arguments, as Markdown."""
        return "\n\n".join(self._paragraphs[1:])

    @property
    def compared_with(self) -> str:
        """Its parity target, as the docstring of its module gives it."""
        told = " ".join((modules[self.cls.__module__].__doc__ or "").split())
        found = re.search(r"Parity target: (.*?)(?<!\b[A-Z])\.(?: |$)", told)
        return as_markdown(found[1]) if found else ""

    @property
    def facts(self) -> MeasureFacts:
        """All of it as data."""
        given = {name: REQUIRED if value is ... else value for name, value in self.parameters.items()}
        return MeasureFacts(
            label=self.label,
            call=self.call,
            definition=self.definition,
            group=self.group,
            kind=self.kind,
            keys={scalar.key: {"title": scalar.title, "better": scalar.better} for scalar in self.scalars},
            reads=self.reads,
            parameters=given,
            arguments=self.arguments,
            error=ErrorTold(self.error, self.about_error) if self.error else None,
            kept=self.kept,
            kept_frozen=self.kept_bound,
            paper=self.paper,
            compared_with=self.compared_with,
            details=self.details,
            network=self.network,
        )

    @cached_property
    def statistics(self) -> dict[Role, tuple[Statistic, ...]]:
        """Its statistics by role, before any side is frozen."""
        return dict(self.measure.statistics(self._spec))

    @cached_property
    def _statistics_bound(self) -> dict[Role, tuple[Statistic, ...]]:
        if self.measure.fixed is None:
            return self.statistics
        return dict(self.measure.bind(self._spec, None, {}).statistics(self._spec))

    @cached_property
    def _spec(self) -> Spec:
        if self.network not in WITHOUT_WEIGHTS:  # tables fetch none
            return TypicalSpec()
        from streaming_metrics.extractors.registry import resolve

        return resolve(str(self.network)).spec

    @cached_property
    def _paragraphs(self) -> list[str]:
        return paragraphs_of(self.cls.__doc__ or "")


class LeftOut(NamedTuple):
    """A measure that cannot be had, and why."""

    label: str
    why: str


def entries() -> list[Entry]:
    """Return an entry for each measure of this library, by group.

    Example:
        >>> [(entry.call, entry.kind) for entry in entries()][:3]
        [('FID()', 'additive'), ('KID()', 'bank'), ('IS()', 'additive')]
    """
    found = [Entry(specimen(class_of(label))) for label in MEASURES]
    return sorted(found, key=lambda entry: GROUPS.index(entry.group))


def all_measures(
    columns: Collection[str] = ("pool", "logits"), roles: Collection[str] = ("real", "fake"), *, images: bool = True
) -> tuple[list[Measure], list[LeftOut]]:
    """Return every measure of this library that columns and roles suffice for, with its defaults; and the others.

    Args:
        columns: what there is of each sample.
        roles: which sides there are.
        images: whether measures that have a network of their own can run it, where it needs no weights.

    Example:
        >>> found, left_out = all_measures(["pool"], ["real", "fake"])
        >>> "fid" in [measure.label for measure in found], dict(left_out)["is"]
        (True, 'it reads logits')
    """
    reasons = [(entry, _why_not(entry, columns, roles, images)) for entry in entries()]
    found = [entry.measure for entry, why in reasons if not why]
    return found, [LeftOut(entry.label, why) for entry, why in reasons if why]


def _why_not(entry: Entry, columns: Collection[str], roles: Collection[str], images: bool) -> str:
    """Return why a measure cannot be had of images; nothing where it can."""
    if entry.of_clips:
        return "it is of clips"
    if entry.is_of_weights and images:
        return f"it brings {entry.network}, whose weights must be fetched"
    own = entry.columns - set(SAMPLE_COLUMNS) if entry.network and images else set[str]()
    lacking = sorted(entry.columns - set(columns) - own)
    missing = [role for role in entry.reads if role not in roles]
    needed = [f"{name}=" for name in needed_of(entry.cls)]
    for verb, what in (("reads", lacking), ("wants samples of the role", missing), ("wants", needed)):
        if what:
            return f"it {verb} {', '.join(what)}"
    return ""


def specimen(cls: type[Measure]) -> Measure:
    """Return a measure with its defaults, and the least where it has none."""
    kinds = options_of(cls)
    return cls(**{name: LEAST[kinds[name]] for name in needed_of(cls)})


if __name__ == "__main__":
    FILE.write_text(dumped(entry.facts for entry in entries()) + "\n", encoding="utf-8")
