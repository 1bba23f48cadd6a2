"""Explanation: what the doctor says, as sections of a page, from the values that ``explain --json`` writes."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from streaming_metrics.doctor.protocols import HALF
from streaming_metrics.report.dots import Dots
from streaming_metrics.report.explanation_charts import waterfall_charts
from streaming_metrics.report.explanation_words import claim_cells, digits, score_in_words, share_in_words, signed
from streaming_metrics.report.page import write_report
from streaming_metrics.report.study_parts import Block, Study, Table, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Told = Mapping[str, Any]

PROTOCOLS = "The same images under every protocol: each row differs in what stands beside it, and in nothing else."
STEPS = (
    "One factor is changed at a time, in this order; the steps add up to the difference. Another order would give "
    "other steps where factors act together."
)
CLAIM = "Protocols by how near they come. That one comes near does not show that it was used."


def write_explanation(path: str | Path, found: Told) -> None:
    """Write the report of what the doctor says, atomically.

    Args:
        path: of the HTML file.
        found: what :func:`streaming_metrics.doctor.explanation.explained` returned, with both sides' origins.
    """
    write_report(path, [], "What this score is made of", explanation_view(found))


def explanation_view(found: Told) -> Study:
    """Return the sections of what the doctor says."""
    counts = f"{found['fake']['num_samples']:,} generated against {found['real']['num_samples']:,} real images"
    made = [_checks(found["checks"]), _protocols(found), _steps(found["waterfall"], found["measure"])]
    if found["claim"] is not None:
        made.append(_claim(found["claim"]))
    made.append(
        Task("Left out", "What applies to other images, networks or devices.", [Block("", n) for n in found["notes"]])
    )
    notes = [*found["warnings"]]
    notes += [f"{name} images: {found[role]['source']}" for name, role in (("real", "real"), ("generated", "fake"))]
    summary = f"{counts}, by {found['extractor']}. {score_in_words(found)}"
    return Study("", summary, found["protocols"][0]["signature"], False, notes, made)


def _checks(checks: Sequence[Told]) -> Task:
    faults, others = ([one for one in checks if (one["verdict"] == "fault") is wanted] for wanted in (True, False))
    unknown = sum(one["verdict"] == "cannot tell" for one in others)
    text = f"{len(faults) or 'None'} of {len(checks)} checks found a fault; {unknown} cannot tell."
    blocks = [
        Block(one["looks_for"][:1].upper() + one["looks_for"][1:], f"{one['sentence']} Remedy: {one['remedy']}")
        for one in faults
    ]
    rows = [(one["name"], one["verdict"], f"{one['sentence']} {one['remedy']}".strip()) for one in others]
    table = Table(("check", "", "what it saw"), rows, is_said=True)
    return Task("What looks wrong", text, [*blocks, Block("", table=table, folded=f"{len(rows)} other checks")])


def _protocols(found: Told) -> Task:
    is_of_tools = len({one["resize"] for one in found["protocols"]}) > 1  # beside which half of N would be far away
    used = [one for one in found["protocols"] if one["name"] != HALF or not is_of_tools]
    rows = [(one["name"], ({"value": one["value"], "low": None, "high": None},)) for one in used]
    claim = found["claim"]
    claimed = None if claim is None else claim[0]["value"] - claim[0]["off"]
    values = [one["value"] for one in used] + ([] if claimed is None else [claimed])
    drawn = Dots.of(rows, found["measure"], places=_places(values), middle=claimed)
    cells = [
        (
            one["name"],
            digits(one["value"]),
            f"{one['num_samples']:,}",
            one["resize"] or "its own",
            one["quantisation"],
            one["precision"],
            one["reference"],
            "N − 1" if one["ddof"] else "N",
            one["about"],
        )
        for one in found["protocols"]
    ]
    headings = ("protocol", found["measure"], "of", "resize", "8 bits", "precision", "reference", "scatter /", "where")
    text = PROTOCOLS + ("" if claimed is None else f" The line is at the claim, {digits(claimed)}.")
    table = Block("", table=Table(headings, cells, is_said=True), folded="What each decides")
    return Task("Protocols", text, [Block("", dots=(drawn,)), table])


def _places(values: Sequence[float]) -> int:
    """Return how many digits behind the point tell values apart: three of the largest difference.

    Example:
        >>> _places([12.3456, 12.4456]), _places([100.0, 250.0])
        (4, 1)
    """
    spread = max(values) - min(values) or max(map(abs, values)) or 1.0
    places = 1
    while spread * 10**places < 1000 and places < 9:
        places += 1
    return max(1, ceil(places))


def _steps(found: Told, measure: str) -> Task:
    title = f"From {found['first']} to {found['last']}"
    if not found["steps"]:
        return Task(title, f"Both are one here: {digits(found['start'])}. No factor tells them apart.", [])
    rows = [(found["first"], "", "", digits(found["start"]), "", "")]
    for step in found["steps"]:
        share = share_in_words(step["share"])
        rows.append(
            (step["factor"], step["before"], step["after"], digits(step["value"]), signed(step["change"]), share)
        )
    table = Table(("step", "from", "to", measure, "adds", "share"), rows)
    chart = Block("", charts=waterfall_charts(found, measure))
    return Task(title, STEPS, [chart, Block("", table=table)])


def _claim(rows: Sequence[Told]) -> Task:
    title = f"The claim: {digits(rows[0]['value'] - rows[0]['off'])}"
    return Task(
        title, CLAIM, [Block("", table=Table(("protocol", "value", "off by", "of the claim"), claim_cells(rows)))]
    )
