"""Results: scores with all that says how they came about, as JSON; and in what two of them differ."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.people import lines_of
from streaming_metrics.extractors.names import facts_of_record
from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.files.npz import UNKNOWN
from streaming_metrics.files.outline import Outline
from streaming_metrics.files.tensors import STATE_KIND, about_of, read_arrays
from streaming_metrics.images.names import told
from streaming_metrics.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.files.reference import Reference

KIND = "streaming-metrics scores 1"
ARROWS = {"lower": "↓", "higher": "↑", None: ""}


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

    @property
    def about(self) -> list[tuple[str, str]]:
        """What is to be known of the scores, by name: warnings, sources, what was left out of them, when."""
        sides = (("real", self.real), ("fake", self.fake))
        lines = [("warning", warning) for warning in self.warnings]
        lines += [("not scored", f"{measure}: {why}") for measure, why in self.unscored.items()]
        if self.paired:
            metrics = ", ".join(f"{key} {ARROWS[better]}".strip() for key, better in self.paired["better"].items())
            lines.append(("paired", f"{metrics} of {self.paired['pairs']:,} pairs, by {self.paired['library']}"))
        lines += [("people", line) for line in lines_of(self.people)]
        for role, side in sides:
            lines += [(f"{role} source", side.source), *((f"{role} note", note) for note in side.notes)]
        return lines + ([("date", self.date)] if self.date else [])

    def to_json(self) -> str:
        """Return it as a JSON object; a score that is not finite is null."""
        scores = {key: value if isfinite(value) else None for key, value in self.scores.items()}
        known = {"kind": KIND, **asdict(self), "scores": scores}
        for late in ("paired", "people"):
            if not known[late]:
                del known[late]  # as earlier versions wrote it, and read it
        return json.dumps(known, indent=2, allow_nan=False)

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
            kind, real, fake = read.pop("kind"), Origin(**read.pop("real")), Origin(**read.pop("fake"))
            result = cls(real=real, fake=fake, **read)
            result = replace(result, scores={k: nan if v is None else v for k, v in result.scores.items()})
            _ = result.about  # what cannot be shown is damaged
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: expected a {KIND} file, got one that does not read: {error!r}.") from error
        numbers = isinstance(result.scores, dict) and all(isinstance(value, float) for value in result.scores.values())
        if kind != KIND or not numbers or not isinstance(result.signature, str):
            raise ValueError(f"{path}: expected a {KIND} file, got {str(kind)!r} without scores or signature.")
        return result


@dataclass(frozen=True)
class Difference:
    """Difference between two scores: one thing that they do not share.

    Args:
        what: its name.
        first, second: its value in each; None where that does not say.
        matters: whether the scores do not compare because of it.
    """

    what: str
    first: str | None
    second: str | None
    matters: bool


NOTES = {"version", "fake data", "library"}
NAMES = {"extractor", "resize", "real", "fake", "precision", "version", "real data", "fake data", "features", "bank"}
OTHERS = "other networks"
NAMES |= {"train", "heldout", "captions", "pairs", "library", OTHERS}


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    """Return in what two :func:`facts` differ; what only one of them says is a note.

    Example:
        >>> line = "fid|ext:inception-v3-6726825d|resize:clean-299|real:50000|fake:10000|fp32|v0.1.0"
        >>> [d.what for d in differences(facts(line), facts(line.replace("clean", "tf1-bilinear")))]
        ['resize']
    """
    both = {what: (first.get(what), second.get(what)) for what in (*first, *second)}
    found = [
        Difference(what, a, b, None not in (a, b) and what not in NOTES) for what, (a, b) in both.items() if a != b
    ]
    measured = [{what: line for what, line in one.items() if what not in NAMES} for one in (first, second)]
    if all(measured) and not measured[0].keys() & measured[1].keys():
        found.insert(0, Difference("measures", "+".join(measured[0].values()), "+".join(measured[1].values()), True))
    return found


def facts(text: str) -> dict[str, str]:
    """Return all that decides whether scores compare, by name.

    Args:
        text: a signature; or a file of scores, a state file, a reference.

    Raises:
        ValueError: where it is none of them.
    """
    path = Path(text)
    if "|ext:" in text:
        return _of_signature(text)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a signature, or a file of scores, states or a reference, got {text!r}.")
    if path.suffix == ".json":
        result = Result.load(path)
        data = {"real data": result.real.data, "fake data": result.fake.data}
        pairs = {what: str(result.paired[what]) for what in ("pairs", "library") if what in result.paired}
        return _of_signature(result.signature) | {what: value for what, value in data.items() if value} | pairs
    if _is_state(path):
        return _of_signature(str(read_arrays(path, STATE_KIND)[1].get("signature")))
    return _of_reference(Outline.load(path))


def contents(text: str) -> list[tuple[str, str]]:
    """Return what a file holds, by name: scores and where they came from, or the shapes of what a reference keeps."""
    path = Path(text)
    if path.suffix == ".json":
        result = Result.load(path)
        return [(key, repr(value)) for key, value in result.scores.items()] + result.about
    if not path.is_file() or _is_state(path):
        return []
    reference = Outline.load(path)
    said = [(what, str(reference.about[what])) for what in ("source", "date") if reference.about.get(what)]
    said += [("note", note) for note in Origin.of_reference(reference, text).notes]
    said += [("warning", warning) for warning in warnings_of(reference)]
    return said + list(reference.forms.items())


def warnings_of(reference: Reference | Outline) -> list[str]:
    """Return what was warned of while a reference was made."""
    return [str(warning) for warning in reference.about.get("warnings") or ()]


def scores_apart(first: str, second: str) -> list[tuple[str, str, str, str]]:
    """Return name, both values and their difference of every score that two files of scores share."""
    if not all(Path(text).suffix == ".json" for text in (first, second)):
        return []
    ours, others = (Result.load(text).scores for text in (first, second))
    return [
        (key, f"{value:.6g}", f"{others[key]:.6g}", f"{others[key] - value:+.3g}")
        for key, value in ours.items()
        if key in others
    ]


def _is_state(path: Path) -> bool:
    return (about_of(path) or {}).get("kind") == STATE_KIND


def _of_reference(reference: Outline) -> dict[str, str]:
    """Return the facts that a reference holds."""
    record = reference.about.get("extractor", {})
    known: dict[str, Any] = {"features": reference.fingerprint}
    if not isinstance(record, dict) or "name" in record:
        known |= facts_of_record(record)
    known["bank"] = "float16" if reference.about.get("half") else None
    known["real"] = None if reference.num_samples >= UNKNOWN else reference.num_samples
    known |= {"version": reference.about.get("version"), "real data": reference.about.get("data")}
    return {what: str(value) for what, value in known.items() if value is not None}


def _of_signature(line: str) -> dict[str, str]:
    signature = Signature.parse(line)
    measures: dict[str, str] = {}
    for measure in signature.measures:  # of several, the first has its keys bare: their order matters
        label = measure.partition("(")[0]
        measures[label] = f"{measures[label]}+{measure}" if label in measures else measure
    counted = dict(part.split(":", 1) for part in str(signature).split("|")[3:-2])  # each role's samples
    named = {what: getattr(signature, what) for what in ("extractor", "resize", "precision")}
    first = {what: value.partition("+")[0] for what, value in named.items()}  # what others read, their measures say
    others = {OTHERS: "+".join(rest for value in named.values() if (rest := value.partition("+")[2]))}
    return measures | first | counted | {"version": signature.version} | {k: v for k, v in others.items() if v}
