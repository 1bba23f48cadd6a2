"""Facts of scores: what decides whether two of them compare, read off signatures and files of any kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.reasons import reasons
from streaming_metrics.cli.results import Origin, warnings_of
from streaming_metrics.cli.several_results import is_scores, load_sides, split_side
from streaming_metrics.extractors.names import facts_of_record
from streaming_metrics.files.outline import UNKNOWN, Outline
from streaming_metrics.files.tensors import STATE_KIND, about_of, read_arrays
from streaming_metrics.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.cli.results import Result


@dataclass(frozen=True)
class Difference:
    """Difference between two scores: one thing that they do not share.

    Args:
        what: its name.
        first, second: its value in each; None where that does not say.
        matters: whether the scores do not compare because of it.
        of_errors: whether what their errors are made of is not the same, and nothing else.
    """

    what: str
    first: str | None
    second: str | None
    matters: bool
    of_errors: bool = False

    @property
    def why(self) -> list[str]:
        """Why it matters, in sentences, where that is known."""
        return reasons(self.what, self.first, self.second) if self.matters else []


OF = " of "
OF_ERRORS = re.compile(r"\b(?:se|both|cluster|blocks|reservoir)=\w+,?")
"""Parameters that standard errors alone depend on."""
NOTES = {"version", "fake data", "library"}
NAMES = {"extractor", "resize", "real", "fake", "precision", "version", "real data", "fake data", "features", "bank"}
OTHERS = "other networks"
DEFAULTS = {"exif": "as stored"}
"""What holds where a signature says nothing of it."""
NAMES |= {"train", "heldout", "captions", "exif", "pairs", "library", OTHERS}


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    """Return in what two :func:`facts` differ; what only one of them says is a note.

    Example:
        >>> line = "fid|ext:inception-v3-6726825d|resize:clean-299|real:50000|fake:10000|fp32|v0.1.0"
        >>> [d.what for d in differences(facts(line), facts(line.replace("clean", "tf1-bilinear")))]
        ['resize']
    """
    ours, theirs = (_with_defaults(one, other) for one, other in ((first, second), (second, first)))
    both = {what: (ours.get(what), theirs.get(what)) for what in (*ours, *theirs)}
    found = [_difference(what, a, b) for what, (a, b) in both.items() if a != b]
    measured = [
        {what: line for what, line in one.items() if what.partition(OF)[0] not in NAMES} for one in (first, second)
    ]
    if all(measured) and not measured[0].keys() & measured[1].keys():
        found.insert(0, Difference("measures", "+".join(measured[0].values()), "+".join(measured[1].values()), True))
    return found


def _with_defaults(one: Mapping[str, str], other: Mapping[str, str]) -> Mapping[str, str]:
    """Return facts with those that the other alone says and whose lack says as much."""
    return {**one, **{what: told for what, told in DEFAULTS.items() if what in other and what not in one}}


def _difference(what: str, a: str | None, b: str | None) -> Difference:
    tells = None not in (a, b) and what.partition(OF)[0] not in NOTES
    of_errors = tells and _values(a) == _values(b)
    return Difference(what, a, b, tells and not of_errors, of_errors)


def _values(measures: str | None) -> str:
    """Return what is told of measures without what errors alone depend on.

    Example:
        >>> _values("kid(se=True,cluster=4)+kid(gamma=2.0,se=True)") == _values("kid+kid(gamma=2.0)")
        True
    """
    return OF_ERRORS.sub("", measures or "").replace(",)", ")").replace("()", "")


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
    if not path.is_file() and not (is_scores(text) and Path(split_side(text)[0]).is_file()):
        raise FileNotFoundError(f"Expected a signature, or a file of scores, states or a reference, got {text!r}.")
    if is_scores(text):
        return _of_sides({name: facts_of(result) for name, result in load_sides(text).items()})
    if _is_state(path):
        return _of_signature(str(read_arrays(path, STATE_KIND)[1].get("signature")))
    return _of_reference(Outline.load(path))


def facts_of(result: Result) -> dict[str, str]:
    """Return all that decides whether scores compare with others, by name."""
    data = {"real data": result.real.data, "fake data": result.fake.data}
    pairs = {what: str(result.paired[what]) for what in ("pairs", "library") if what in result.paired}
    return _of_signature(result.signature) | {what: value for what, value in data.items() if value} | pairs


def _of_sides(sides: Mapping[str, dict[str, str]]) -> dict[str, str]:
    """Return the facts of several sides: what they share once, the rest by side."""
    every = list(sides.values())
    shared = {what: value for what, value in every[0].items() if all(one.get(what) == value for one in every)}
    own = {
        f"{what}{OF}{name}": value for name, one in sides.items() for what, value in one.items() if what not in shared
    }
    return shared | own


def contents(text: str) -> list[tuple[str, str]]:
    """Return what a file holds, by name: scores and where they came from, or the shapes of what a reference keeps."""
    path = Path(text)
    if is_scores(text):
        sides = load_sides(text)
        return [(_named(what, name, sides), line) for name, result in sides.items() for what, line in _lines(result)]
    if not path.is_file() or _is_state(path):
        return []
    reference = Outline.load(path)
    said = [(what, str(reference.about[what])) for what in ("source", "date") if reference.about.get(what)]
    said += [("note", note) for note in Origin.of_reference(reference, text).notes]
    said += [("warning", warning) for warning in warnings_of(reference)]
    return said + list(reference.forms.items())


def scores_apart(first: str, second: str) -> list[tuple[str, str, str, str]]:
    """Return name, both values and their difference of every score that two files of scores share."""
    if not (is_scores(first) and is_scores(second)):
        return []
    ours, others = (_scores_of(load_sides(text)) for text in (first, second))
    return [
        (key, f"{value:.6g}", f"{others[key]:.6g}", f"{others[key] - value:+.3g}")
        for key, value in ours.items()
        if key in others
    ]


def _scores_of(sides: Mapping[str, Result]) -> dict[str, float]:
    return {_named(key, name, sides): value for name, one in sides.items() for key, value in one.scores.items()}


def _lines(result: Result) -> list[tuple[str, str]]:
    """Return scores, where they came from, and how much evidence there is, in lines."""
    lines = [(key, repr(value)) for key, value in result.scores.items()]
    lines += [("evidence", f"{key}: {len(one.fake.index)} samples") for key, one in result.evidence.items()]
    return lines + result.about


def _named(what: str, name: str, sides: Mapping[str, Result]) -> str:
    """Return what a line is called, with the name of its side where there are several."""
    return f"{what}{OF}{name}" if len(sides) > 1 else what


def _is_state(path: Path) -> bool:
    return (about_of(path) or {}).get("kind") == STATE_KIND


def _of_reference(reference: Outline) -> dict[str, str]:
    """Return the facts that a reference holds."""
    record = reference.about.get("extractor", {})
    known: dict[str, Any] = {"features": reference.fingerprint}
    if not isinstance(record, dict) or "name" in record:
        known |= facts_of_record(record)
    known["exif"] = reference.about.get("exif")
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
