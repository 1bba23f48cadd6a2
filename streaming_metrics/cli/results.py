"""Results: scores with all that says how they came about, as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.error_lines import errors_in
from streaming_metrics.cli.people import lines_of
from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.files.outline import UNKNOWN
from streaming_metrics.images.names import told
from streaming_metrics.measures.facts import ARROWS
from streaming_metrics.verdicts import KIND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.files.outline import Outline
    from streaming_metrics.files.reference import Reference
    from streaming_metrics.verdicts.evidence import Evidence

LATE = ("paired", "people", "evidence", "ids", "errors")
"""What a file has where there is any: without it, it is what earlier versions wrote, and read."""


FINGERPRINT = re.compile("[0-9a-f]{16}")
"""Of images, as :class:`~streaming_metrics.cli.reading.ReadResult` writes it."""


@dataclass(frozen=True)
class Origin:
    """Origin of one side's samples.

    Args:
        source: as the user named it.
        num_samples: how many were scored; None where a file does not say.
        unreadable: name and reason of images that were left out.
        data: fingerprint of the images; None where a file does not say.
        left_out: how many files beside the images were not counted, by reason.
    """

    source: str
    num_samples: int | None
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    data: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_reference(cls, reference: Reference | Outline, source: str) -> Origin:
        """Return what a reference says of where its samples came from."""
        said, n = reference.about, reference.num_samples
        unreadable = [(str(name), str(why)) for name, why in said.get("unreadable") or ()]
        left_out = {str(reason): int(count) for reason, count in (said.get("left_out") or {}).items()}
        return cls(source, None if n >= UNKNOWN else n, unreadable, said.get("data"), left_out)

    @property
    def notes(self) -> list[str]:
        """What was not scored of the source, in lines."""
        lines = [told(self.left_out)] if self.left_out else []
        return lines + [f"left out: {name}: {why}" for name, why in self.unreadable]


def same_images(real: Origin, fake: Origin) -> list[str]:
    """Return that both sides hold the very same images, as a line; none where they do not, or a file does not say: what
    a user called the data of a reference may be of two sets.

    Example:
        >>> same_images(Origin("real/", 9, data="4f1c9a0e2b7d6835"), Origin("copy/", 9, data="4f1c9a0e2b7d6836"))
        []
        >>> same_images(Origin("train", 9, data="ffhq256"), Origin("test", 9, data="ffhq256"))
        []
        >>> same_images(Origin("real/", 9, data="4f1c9a0e2b7d6835"), Origin("copy/", 9, data="4f1c9a0e2b7d6835"))
        ['copy/ holds the very images of real/: scores are of a set against itself. Remedy: name the generated ones.']
    """
    if real.data != fake.data or not FINGERPRINT.fullmatch(real.data or ""):
        return []
    told = f"{fake.source} holds the very images of {real.source}: scores are of a set against itself."
    return [f"{told} Remedy: name the generated ones."]


@dataclass(frozen=True)
class Result:
    """Result of one comparison: its scores, and how they came about.

    Args:
        scores: by reported key.
        signature: how they came about.
        real, fake: where the samples came from.
        warnings: what was said on the way.
        unscored: measures that had too few samples, and why.
        paired: how the scores of pairs came about, empty where there are none: ``"pairs"``, how many; ``"library"``,
            whose metrics; ``"better"``, by key.
        people: what people say of the generated side, empty where there is no study: ``"signature"`` of it,
            ``"condition"``, ``"scores"``; ``"note"`` where none of its conditions is that side.
        evidence: what scores are compared by, by key, empty without standard errors.
        ids: what tells whether generated samples are of the same seeds: :func:`~streaming_metrics.cli.seeds.ids_of`.
        date: when they were made, ISO 8601 in UTC; empty where a file does not say.
    """

    scores: Mapping[str, float]
    signature: str
    real: Origin
    fake: Origin
    warnings: list[str] = field(default_factory=list)
    unscored: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    paired: Mapping[str, Any] = field(default_factory=dict)
    people: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> list[tuple[str, str]]:
        """What is to be known of the scores, by name: warnings, sources, what was left out of them, when."""
        sides = (("real", self.real), ("fake", self.fake))
        lines = [("warning", warning) for warning in self.warnings]
        lines += [("not scored", f"{measure}: {why}") for measure, why in self.unscored.items()]
        if self.paired:
            metrics = ", ".join(f"{key} {ARROWS[better]}".strip() for key, better in self.paired["better"].items())
            lines.append(("paired", f"{metrics} of {self.paired['pairs']:,} pairs, by {self.paired['library']}"))
        if "|exif:turned|" in self.signature:
            lines.append(("exif", "images are turned as EXIF says"))
        lines += [("people", line) for line in lines_of(self.people)]
        for role, side in sides:
            lines += [(f"{role} source", side.source), *((f"{role} note", note) for note in side.notes)]
        return lines + ([("date", self.date)] if self.date else [])

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; a score that is not finite is None."""
        scores = {key: value if isfinite(value) else None for key, value in self.scores.items()}
        known = asdict(replace(self, evidence={})) | {"scores": scores}
        if self.evidence:
            from streaming_metrics.verdicts.files import to_json

            known["evidence"] = to_json(self.evidence)
        known["errors"] = errors_in(self.scores)
        return {what: value for what, value in known.items() if value or what not in LATE}

    @classmethod
    def of_plain(cls, told: Mapping[str, Any]) -> Result:
        """Return what :meth:`plain` told; raise ValueError, KeyError or TypeError for anything else."""
        sides = {role: Origin(**told[role]) for role in ("real", "fake")}
        kept = {what: value for what, value in told.items() if what != "errors"}  # scores say them
        if "evidence" in told:
            from streaming_metrics.verdicts.files import from_json

            kept["evidence"] = from_json(told["evidence"])
        result = cls(**{**kept, **sides})
        result = replace(result, scores={k: nan if v is None else v for k, v in result.scores.items()})
        _ = result.about  # what cannot be shown is damaged
        if not all(isinstance(value, float) for value in result.scores.values()):
            raise TypeError("scores that are no numbers")
        if not isinstance(result.signature, str) or not isinstance(result.ids, dict):
            raise TypeError("no signature, or no ids")
        return result

    def to_json(self) -> str:
        """Return it as a JSON object; a score that is not finite is null."""
        return json.dumps({"kind": KIND, **self.plain()}, indent=2, allow_nan=False)

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        with atomic_write(path) as partial:
            partial.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: where it is no such file.
        """
        try:
            read = json.loads(Path(path).read_text(encoding="utf-8"))
            kind = read.pop("kind")
            if kind == KIND:
                return cls.of_plain(read)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: expected a {KIND} file, got one that does not read: {error!r}.") from error
        raise ValueError(f"{path}: expected a {KIND} file, got {str(kind)!r} without scores or signature.")


def warnings_of(reference: Reference | Outline) -> list[str]:
    """Return what was warned of while a reference was made."""
    return [str(warning) for warning in reference.about.get("warnings") or ()]
