"""Lists of the measures there are: on a terminal, as a page of documentation, as JSON; made from the catalogue."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.terminal import is_terminal, say, show_groups, show_text
from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.catalogue import KINDS, Entry, by_group, entries
from streaming_metrics.plots.result_keys import ARROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streaming_metrics.measures.base import Scalar

INTRODUCTION = """# The measures

`streaming-metrics measures --markdown` writes this page from the classes of the measures: {number} of them.
`streaming-metrics measures` lists them on a terminal, `streaming-metrics measures fid` says all of one, and `help(FID)`
its arguments too. What the values mean, and how they stay comparable, stands in [`numbers.md`](numbers.md); the papers'
DOIs in [`CITATION.cff`](../CITATION.cff).

Keys are those with the published Inception; any other network's have its tag. ↑ higher is better, ↓ lower is; without
an arrow neither is: deviations, errors, p-values, counts. What is read are columns of the features, of real and
generated samples where nothing else is said. The class says what is kept of generated samples:

{kinds}

The sizes are of features 2048 wide and 1008 logits. Every role of a metric keeps 64 KiB more, to count distinct images.
"""
HEADINGS, RATIOS = ("measure", "keys", "error", "class", "reads", "paper"), (0, 4, 0, 0, 3, 4)
HEAD = (
    *("measure", "what it is", "keys", "standard error", "class", "reads", "kept of generated samples"),
    *("paper", "compared with"),
)


def chosen(names: Sequence[str]) -> list[Entry]:
    """Return the entries of those names, or of all measures; raise ValueError where one is not known."""
    found = {entry.label: entry for entry in entries()}
    return [lookup(found, name.lower(), "measure") for name in names] if names else list(found.values())


def show(found: Sequence[Entry]) -> None:
    """Print a line for each measure, by group; where stdout is no terminal, cells between tabs."""
    if not is_terminal():
        for entry in found:
            say("\t".join(line_of(entry)))
        return
    groups = {
        group: [(e.label, ", ".join(keys_of(e)), e.error, e.kind, read_by(e), e.paper) for e in of]
        for group, of in by_group(found).items()
    }
    show_groups(HEADINGS, RATIOS, groups)


def show_each(found: Iterable[Entry]) -> None:
    """Print all that is known of some measures."""
    for entry in found:
        facts = {
            "keys": ", ".join(keys_of(entry)),
            "class": f"{entry.kind}: {KINDS[entry.kind]}",
            "reads": read_by(entry),
            "kept": kept_by(entry),
            "standard error": error_told(entry),
            "parameters": ", ".join(parameters_of(entry)) or "none",
            "paper": entry.paper,
            "compared with": entry.compared_with,
        }
        paragraphs = [f"{entry.call}: {entry.definition}", *filter(None, entry.details.split("\n\n"))]
        told = [f"{paragraph}\n" for paragraph in paragraphs]
        show_text([*told, *(f"{what}: {text}" for what, text in facts.items()), ""])


def line_of(entry: Entry) -> tuple[str, ...]:
    """Return the cells of a measure as other programs read them."""
    parameters, keys = ", ".join(entry.parameters), ", ".join(keys_of(entry))
    return entry.label, parameters, keys, entry.group, entry.kind, read_by(entry), entry.paper, entry.definition


def as_json(found: Iterable[Entry]) -> str:
    """Return what the catalogue says as JSON."""
    return json.dumps([fields_of(entry) for entry in found], indent=1, ensure_ascii=False, default=str)


def fields_of(entry: Entry) -> dict[str, Any]:
    """Return what the catalogue says of a measure, by name."""
    return {
        "label": entry.label,
        "call": entry.call,
        "definition": entry.definition,
        "group": entry.group,
        "class": entry.kind,
        "keys": {scalar.key: {"title": scalar.title, "better": scalar.better} for scalar in entry.scalars},
        "reads": entry.reads,
        "parameters": {name: "…" if value is ... else value for name, value in entry.parameters.items()},
        "error": {"by": entry.error, "about": entry.about_error} if entry.error else None,
        "kept": entry.kept._asdict(),
        "kept_frozen": entry.kept_bound._asdict(),
        "paper": entry.paper,
        "compared_with": entry.compared_with,
    }


def as_page(found: Sequence[Entry]) -> str:
    """Return the page of documentation: tables by group, then each definition in full."""
    kinds = "\n".join(f"- **{kind}**: {KINDS[kind]}." for kind in KINDS)
    groups = by_group(found)
    tables = chain.from_iterable((f"## {group.capitalize()}", table_of(of)) for group, of in groups.items())
    texts = (f"### `{entry.call}`\n\n{entry.definition}\n\n{entry.details}".strip() for entry in found)
    opening = INTRODUCTION.rstrip().format(number=len(found), kinds=kinds)
    return "\n\n".join([opening, *tables, "## Definitions in full", *texts])


def table_of(found: Iterable[Entry]) -> str:
    """Return a table of measures in Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *(map(_escaped, cells_of(entry)) for entry in found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cells_of(entry: Entry) -> tuple[str, ...]:
    """Return the cells of a measure in :func:`table_of`, in the order of :data:`HEAD`."""
    keys = ", ".join(f"`{scalar.key}` {ARROWS[scalar.better]}".strip() for scalar in entry.scalars)
    about = error_told(entry), entry.kind, read_by(entry), kept_by(entry), entry.paper, entry.compared_with
    return f"`{entry.call}`", entry.definition.removesuffix("."), keys, *about


def keys_of(entry: Entry) -> list[str]:
    """Return the keys, each with an arrow for what is better."""
    return [_with_arrow(scalar) for scalar in entry.scalars]


def error_told(entry: Entry) -> str:
    """Return how a measure's standard error is had, and what its interval is about."""
    return f"{entry.error}: {entry.about_error}" if entry.error else "none"


def read_by(entry: Entry) -> str:
    """Return the columns that a measure reads, and of which roles where these are not real and generated."""
    columns = dict.fromkeys(chain.from_iterable(entry.reads.values()))
    usual, roles = {"real", "fake"}, {*entry.reads}
    said = "" if roles == usual else " of " + ", ".join("generated" if role == "fake" else role for role in entry.reads)
    return f"{', '.join(columns)}{said}" + (f", by {entry.network}" if entry.network else "")


def kept_by(entry: Entry) -> str:
    """Return what is kept of generated samples, before and after the other sides are frozen."""
    before, after = str(entry.kept), str(entry.kept_bound)
    return before if before == after else f"{before}; frozen: {after}"


def parameters_of(entry: Entry) -> list[str]:
    """Return the parameters with their defaults."""
    return [name if value is ... else f"{name}={value}" for name, value in entry.parameters.items()]


def _with_arrow(scalar: Scalar) -> str:
    return f"{scalar.key}{ARROWS[scalar.better]}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
