"""Facts of measures: what tables say of each, as data; this library's come with it, so that a list imports no measure.

``python -m streaming_metrics.measures.catalogue`` writes them, and a test fails where the classes say something else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from streaming_metrics.measures.sizes import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = Path(__file__).with_suffix(".json")
Kind = Literal["additive", "fixed side", "bank"]
KINDS: dict[Kind, str] = {
    "additive": "sums, which add up over batches and ranks, and take as much room whatever the number of samples",
    "fixed side": "features, until the side that they are compared with is frozen; from then on sums",
    "bank": "features: of all samples, or of a sample of them of bounded size",
}
"""Classes of measures, by what they keep of generated samples."""
ARROWS = {"lower": "↓", "higher": "↑", None: ""}
"""What stands for the better direction."""
REQUIRED = "…"
"""What stands for the default of a parameter that has none."""


class ErrorTold(NamedTuple):
    """How a standard error is had, ``"always"`` or ``"se=True"``, and what its interval is about, in words."""

    by: str
    about: str


@dataclass(frozen=True)
class MeasureFacts:
    """Facts of one measure with its defaults.

    Args:
        label, call, definition, group, paper, compared_with: see :class:`~streaming_metrics.measures.catalogue.Entry`.
        kind: its class, one of :data:`KINDS`; ``"class"`` in JSON.
        keys: title and better direction of each scalar, by key.
        reads: columns by role.
        parameters: defaults by name.
        arguments: what each parameter is, by name, as Markdown.
        error: None where it has no standard error.
        kept, kept_frozen: of generated samples, before and after the other sides are frozen.
        details: the paragraphs after the definition.
        network: the extractor of its own.
    """

    label: str
    call: str
    definition: str
    group: str
    kind: Kind
    keys: Mapping[str, Mapping[str, str | None]]
    reads: Mapping[str, Sequence[str]]
    parameters: Mapping[str, Any]
    arguments: Mapping[str, str]
    error: ErrorTold | None
    kept: Kept
    kept_frozen: Kept
    paper: str
    compared_with: str
    details: str = ""
    network: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the facts by name, as JSON has them."""
        named = {_renamed(field.name): getattr(self, field.name) for field in fields(self)}
        return {
            name: value._asdict() if isinstance(value, Kept | ErrorTold) else value for name, value in named.items()
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> MeasureFacts:
        """Return what :meth:`as_json` was made of."""
        read = {field.name: _tupled(told[_renamed(field.name)]) for field in fields(cls)}
        error = None if read["error"] is None else ErrorTold(**read["error"])
        return cls(**read | {"error": error, "kept": Kept(**read["kept"]), "kept_frozen": Kept(**read["kept_frozen"])})


def facts_of_all() -> list[MeasureFacts]:
    """Return the facts of every measure of this library, by group; no measure is imported.

    Example:
        >>> [facts.call for facts in facts_of_all()][:3]
        ['FID()', 'KID()', 'IS()']
    """
    return [MeasureFacts.of_json(told) for told in json.loads(FILE.read_text(encoding="utf-8"))]


def dumped(found: Iterable[MeasureFacts]) -> str:
    """Return facts as the text of a file of JSON."""
    return json.dumps([facts.as_json() for facts in found], indent=1, ensure_ascii=False, default=str)


def by_group(found: Iterable[MeasureFacts]) -> dict[str, list[MeasureFacts]]:
    """Return facts by group, in the order in which groups come."""
    groups: dict[str, list[MeasureFacts]] = {}
    for facts in found:
        groups.setdefault(facts.group, []).append(facts)
    return groups


def _renamed(name: str) -> str:
    return "class" if name == "kind" else name


def _tupled(value: Any) -> Any:
    """Return what JSON holds with tuples for its lists, as defaults of parameters are."""
    if isinstance(value, list):
        return tuple(map(_tupled, value))
    return {name: _tupled(one) for name, one in value.items()} if isinstance(value, dict) else value
