"""Pages of measures: one each, and the table of all of them, made of what their classes say and the sensitivity map."""

from __future__ import annotations

import re
from posixpath import dirname, relpath
from typing import TYPE_CHECKING

from cost_table import costs
from movement import pictures
from paper_page import papers_of

from streaming_metrics.cli.measure_list import error_told, kept_by, parameters_told, read_by
from streaming_metrics.measures.facts import ARROWS, KINDS, by_group, facts_of_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sensitivity_map import SensitivityMap

    from streaming_metrics.measures.facts import MeasureFacts

INTERVAL = r"(?:about )?[\[(][^()\[\]]*(?:\([^()]*\)[^()\[\]]*)*[\])]"
SENTENCE = rf"\bRange:? ((?:{INTERVAL}|unbounded)[^;:\n]*?)(?=[;:\n]|\. |\.?$)"
RANGE = re.compile(rf"{SENTENCE}|\brange ({INTERVAL})", re.MULTILINE)
DIRECTION = re.compile(r", (?:lower is better|higher is (?:better|more diverse))")
WORDS = {"lower": "lower is better", "higher": "higher is better", None: "neither direction is better"}
HOW_TO_READ = "## How to read these tables"
TABLE_ROW = re.compile(r"^\|.*$", re.MULTILINE)
CALL = re.compile(r"(?<!\[)`(\w+)\([^`]*\)`(?!\])")
DEFINITION = re.compile(r"\]\((?P<up>(?:\.\./)*)measures\.md#(?P<anchor>\w+)\)")
TAGGED = " under its network's own name, as the definition says"
OWN_SCALE = "as its definition says"
ON_THE_SITE = """On this site each measure has a page: its range, its parameters, its definition in full, what it
noticed of corrupted images, its paper."""


def class_name(facts: MeasureFacts) -> str:
    """Return the name of a measure's class."""
    return facts.call.partition("(")[0]


def uri_of(facts: MeasureFacts) -> str:
    """Return where on the site a measure's page is."""
    return f"measures/{facts.label}.md"


def named(text: str, uri: str) -> str:
    """Return the text of a page whose tables lead to the pages of the measures that they name.

    Args:
        text: Markdown.
        uri: where the page is on the site.
    """
    pages = {class_name(facts): relpath(uri_of(facts), dirname(uri) or ".") for facts in facts_of_all()}

    def link(found: re.Match[str]) -> str:
        return f"[{found[0]}]({pages[found[1]]})" if found[1] in pages else found[0]

    return TABLE_ROW.sub(lambda row: CALL.sub(link, row[0]), text)


def led_to_pages(text: str) -> str:
    """Return a text whose links to definitions on the page of all measures lead to the measures' own pages."""
    pages = {re.sub(r"[^\w]", "", facts.call).lower(): uri_of(facts) for facts in facts_of_all()}

    def link(found: re.Match[str]) -> str:
        return f"]({found['up']}{pages[found['anchor']]})" if found["anchor"] in pages else found[0]

    return DEFINITION.sub(link, text)


def nav() -> list[dict[str, list[dict[str, str]]]]:
    """Return the pages of all measures, by group, as MkDocs has its navigation."""
    groups = by_group(facts_of_all())
    return [{group.capitalize(): [{class_name(one): uri_of(one)} for one in of]} for group, of in groups.items()]


def pages(found: SensitivityMap) -> dict[str, str]:
    """Return the page of every measure, by where on the site it is."""
    first: dict[str, str] = {}
    made = {}
    for facts in facts_of_all():
        for key in facts.keys:  # FID of another network has the same key, and is not on the map
            first.setdefault(key, facts.label)
        own = [key for key in facts.keys if first[key] == facts.label]
        made[uri_of(facts)] = page_of(facts, own, found)
    return made


def page_of(facts: MeasureFacts, own: Sequence[str], found: SensitivityMap) -> str:
    """Return a measure's page.

    Args:
        facts: of the measure.
        own: those of its keys that the map knows as this measure's.
        found: the map.
    """
    parts = [f"# {class_name(facts)}", facts.definition, _listed(_told(facts, own)), _how_to_call(facts)]
    parts += ["## Parameters", _listed(_parameters(facts))] if facts.parameters else ["It has no parameters."]
    parts += ["## Definition in full", facts.details] if facts.details else []
    return "\n\n".join([*parts, "## What it notices", *_noticed(facts, own, found)]) + "\n"


def table(page: str) -> str:
    """Return the page of all measures as the site has it: tables that lead to the measures' pages, then its opening."""
    title, _, opening = page.partition("\n## ")[0].partition("\n\n")
    tables = (f"## {group.capitalize()}\n\n{_rows(of)}" for group, of in by_group(facts_of_all()).items())
    return "\n\n".join([title, ON_THE_SITE, *tables, HOW_TO_READ, opening])


def range_of(facts: MeasureFacts) -> str:
    """Return the ranges that a measure's definition names."""
    found = RANGE.findall(f"{facts.definition}\n{facts.details}")
    told = (DIRECTION.sub("", clause or interval) for clause, interval in found)
    return "; ".join(dict.fromkeys(told)) or OWN_SCALE


def _told(facts: MeasureFacts, own: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the facts of a measure: what each is called, and what it says, a line each."""
    yield "Keys", [f"`{key}`{'' if key in own else TAGGED}: {WORDS[of['better']]}" for key, of in facts.keys.items()]
    yield "Range", [range_of(facts)]
    yield (
        "Reads",
        [f"{read_by(facts)}: [columns of features](../measures.md), of both sides where nothing else is said"],
    )
    yield "Network", [_network(facts)]
    yield "Class", [f"{facts.kind}; kept are {KINDS[facts.kind]}"]
    yield "Kept of generated samples", [f"{kept_by(facts)}, at 2,048 features and 1,008 logits"]
    yield "Standard error", [error_told(facts)]
    yield "Time", [_time(facts)]
    yield "Paper", [facts.paper, *papers_of(class_name(facts))]
    yield "Compared with", [facts.compared_with]


def _parameters(facts: MeasureFacts) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield parameters with their defaults, and what they are."""
    for names, text in parameters_told(facts):
        yield ", ".join(f"`{name}`" for name in names), [text]


def _time(facts: MeasureFacts) -> str:
    """Return what an epoch's features take, as the page on speed has it."""
    if (cost := costs().get(facts.label)) is None:
        return "not on the [table of costs](../speed.md#what-each-measure-costs)"
    return (
        f"{cost.update} to update and {cost.compute} to compute, of 2,000 generated samples against a frozen side, on "
        "two cores: [what each measure costs](../speed.md#what-each-measure-costs)"
    )


def _network(facts: MeasureFacts) -> str:
    if facts.network:
        return f"its own, [`{facts.network}`](../networks.md), where there are images"
    return "the metric's: the published Inception, unless [another](../networks.md) is given"


def _listed(told: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a list of definitions in Markdown."""
    return "\n\n".join("\n".join([name, *(f":   {line}" for line in lines)]) for name, lines in told)


def _how_to_call(facts: MeasureFacts) -> str:
    options = facts.call.partition("(")[2].removesuffix(")")
    text = f"{facts.label}({options})" if options else facts.label
    return (
        f"In Python it is `{facts.call}`, in a list of measures for `GenerativeMetrics` or `GenerationMonitor`; as "
        f"text for `--measures` and configurations, `{text}`."
    )


def _noticed(facts: MeasureFacts, own: Sequence[str], found: SensitivityMap) -> Iterator[str]:
    """Yield what a measure noticed, in words and pictures; or why there is nothing to say."""
    on_map = [key for key in own if key in found.verdicts]
    if not on_map:
        why = found.why_without(facts.label)
        yield (
            f"It is not on the [map of sensitivity](../sensitivity.md){f', since it {why}' if why else ''}: the map "
            "draws the measures that its images, labels and network suffice for, within minutes."
        )
        return
    yield (
        "Real images of Fashion-MNIST against others, corrupted more and more, by EfficientNet-Lite0's features or its "
        "own columns of pixels: the [map of sensitivity](../sensitivity.md) says how. From which strength on it "
        "tells them from chance:"
    )
    said = {key: [f"**{verdict}**: {what}" for verdict, what in found.verdicts[key].items()] for key in on_map}
    yield _listed((f"`{key}`", of) for key, of in said.items())
    yield from _pictured(facts, found)


def _pictured(facts: MeasureFacts, found: SensitivityMap) -> Iterator[str]:
    if not (cells := found.cells_of(facts.label)):
        yield "No picture of it moving yet: the data of the map have not been written since this page draws them."
        return
    has_direction = any(facts.keys[key]["better"] for key in cells)
    towards = "towards worse upwards" if has_direction else "either way upwards, since neither is better"
    yield (
        f"How far the value moves, in standard deviations between draws of real images, {towards}, on a scale of "
        "decades; 0 is no corruption, the band what chance does, a triangle what is beyond the scale, a question mark "
        "a refusal:"
    )
    for key, of in cells.items():
        yield f"**`{key}`**\n\n{pictures(key, found.columns, of)}"


def _rows(found: Iterable[MeasureFacts]) -> str:
    """Return a table of measures whose names lead to their pages."""
    head = ("measure", "what it is", "keys", "standard error", "class")
    rows = [head, ("---",) * len(head)]
    for facts in found:
        keys = "<br>".join(f"`{key}` {ARROWS[of['better']]}".strip() for key, of in facts.keys.items())
        error = facts.error.by if facts.error else "none"
        name = f"[`{class_name(facts)}`]({uri_of(facts)})"
        rows.append((name, facts.definition.removesuffix("."), keys, error, facts.kind))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
