"""Lists of the measures there are: on a terminal, as a page of documentation, as JSON; made of their facts."""

from __future__ import annotations

from itertools import chain, groupby
from typing import TYPE_CHECKING

from streaming_metrics.cli.own_measures import OWN, own_measure
from streaming_metrics.cli.terminal import is_terminal, say, show_groups, show_text
from streaming_metrics.extractors.names import lookup
from streaming_metrics.measures.facts import ARROWS, KINDS, REQUIRED, by_group, facts_of_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streaming_metrics.measures.facts import MeasureFacts

INTRODUCTION = """# The measures

`streaming-metrics measures --markdown` writes this page from the classes of the measures: {number} of them.
`streaming-metrics measures` lists them on a terminal, `streaming-metrics measures fid` says all of one, with what each
of its parameters is. What the values mean, and how they stay comparable, stands in [`numbers.md`](numbers.md); the
papers' DOIs in [`CITATION.cff`](../CITATION.cff).

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


def chosen(names: Sequence[str]) -> list[MeasureFacts]:
    """Return the facts of measures by label or as ``package.module:Class``, or of all of this library.

    Raises:
        ValueError: where a label is not known.
        FileNotFoundError, TypeError: where there is no such class, or it is no measure.
    """
    found = {facts.label: facts for facts in facts_of_all()}
    return [_facts_of(name, found) for name in names] if names else list(found.values())


def _facts_of(name: str, known: Mapping[str, MeasureFacts]) -> MeasureFacts:
    if not OWN.fullmatch(name):
        return lookup(known, name.lower(), "measure")
    from streaming_metrics.measures.catalogue import Entry, specimen

    return Entry(specimen(own_measure(name))).facts


def show(found: Sequence[MeasureFacts]) -> None:
    """Print a line for each measure, by group; where stdout is no terminal, cells between tabs."""
    if not is_terminal():
        for facts in found:
            say("\t".join(line_of(facts)))
        return
    groups = {
        group: [(one.label, ", ".join(keys_of(one)), _error_by(one), one.kind, read_by(one), one.paper) for one in of]
        for group, of in by_group(found).items()
    }
    show_groups(HEADINGS, RATIOS, groups)


def show_each(found: Iterable[MeasureFacts]) -> None:
    """Print all that is known of some measures."""
    for facts in found:
        told = {
            "keys": ", ".join(keys_of(facts)),
            "class": f"{facts.kind}: {KINDS[facts.kind]}",
            "reads": read_by(facts),
            "kept": kept_by(facts),
            "standard error": error_told(facts),
            "paper": facts.paper,
            "compared with": facts.compared_with,
        }
        paragraphs = [f"{facts.call}: {facts.definition}", *filter(None, facts.details.split("\n\n"))]
        lines = [*(f"{paragraph}\n" for paragraph in paragraphs), *(f"{what}: {text}" for what, text in told.items())]
        parameters = [
            f"  {': '.join([', '.join(names), *filter(None, [text])])}" for names, text in parameters_told(facts)
        ]
        show_text([*lines, "parameters:" if parameters else "parameters: none", *parameters, ""])


def line_of(facts: MeasureFacts) -> tuple[str, ...]:
    """Return the cells of a measure as other programs read them."""
    parameters, keys = ", ".join(facts.parameters), ", ".join(keys_of(facts))
    return facts.label, parameters, keys, facts.group, facts.kind, read_by(facts), facts.paper, facts.definition


def as_page(found: Sequence[MeasureFacts]) -> str:
    """Return the page of documentation: tables by group, then each definition in full."""
    kinds = "\n".join(f"- **{kind}**: {KINDS[kind]}." for kind in KINDS)
    groups = by_group(found)
    tables = chain.from_iterable((f"## {group.capitalize()}", table_of(of)) for group, of in groups.items())
    texts = (f"### `{facts.call}`\n\n{facts.definition}\n\n{facts.details}".strip() for facts in found)
    opening = INTRODUCTION.rstrip().format(number=len(found), kinds=kinds)
    return "\n\n".join([opening, *tables, "## Definitions in full", *texts])


def table_of(found: Iterable[MeasureFacts]) -> str:
    """Return a table of measures in Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *(map(_escaped, cells_of(facts)) for facts in found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cells_of(facts: MeasureFacts) -> tuple[str, ...]:
    """Return the cells of a measure in :func:`table_of`, in the order of :data:`HEAD`."""
    keys = ", ".join(f"`{key}` {ARROWS[of['better']]}".strip() for key, of in facts.keys.items())
    about = error_told(facts), facts.kind, read_by(facts), kept_by(facts), facts.paper, facts.compared_with
    return f"`{facts.call}`", facts.definition.removesuffix("."), keys, *about


def keys_of(facts: MeasureFacts) -> list[str]:
    """Return the keys, each with an arrow for what is better."""
    return [f"{key}{ARROWS[of['better']]}" for key, of in facts.keys.items()]


def error_told(facts: MeasureFacts) -> str:
    """Return how a measure's standard error is had, and what its interval is about."""
    return ": ".join(facts.error) if facts.error else "none"


def read_by(facts: MeasureFacts) -> str:
    """Return the columns that a measure reads, and of which roles where these are not real and generated."""
    columns = dict.fromkeys(chain.from_iterable(facts.reads.values()))
    usual, roles = {"real", "fake"}, {*facts.reads}
    said = "" if roles == usual else " of " + ", ".join("generated" if role == "fake" else role for role in facts.reads)
    return f"{', '.join(columns)}{said}" + (f", by {facts.network}" if facts.network else "")


def kept_by(facts: MeasureFacts) -> str:
    """Return what is kept of generated samples, before and after the other sides are frozen."""
    before, after = str(facts.kept), str(facts.kept_frozen)
    return before if before == after else f"{before}; frozen: {after}"


def parameters_told(facts: MeasureFacts) -> list[tuple[list[str], str]]:
    """Return the parameters with their defaults, those together of which one thing is said, and what is said."""
    defaults = {name: name if value == REQUIRED else f"{name}={value}" for name, value in facts.parameters.items()}
    told = groupby(defaults, key=lambda name: facts.arguments[name])
    return [([defaults[name] for name in names], text) for text, names in told]


def _error_by(facts: MeasureFacts) -> str:
    return facts.error.by if facts.error else ""


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
