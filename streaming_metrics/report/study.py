"""Study: what people say of generated images, as sections of a page, from the results that a study wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.report import study_words as words
from streaming_metrics.report.charts import short_names
from streaming_metrics.report.dots import NONE, Dots, digits
from streaming_metrics.report.study_charts import beside_charts, exposure_charts
from streaming_metrics.report.study_parts import Block, Cell, Heat, HeatRow, Study, Table, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Told = Mapping[str, Any]

TITLES = {
    "preference": "Preference",
    "opinion": "Opinion",
    "alignment": "Alignment with the prompt",
    "categorisation": "Real or fake, at a glance",
}
FEW_ROWS = 10
"""Rows up to which a table is not folded."""


def study_view(results: Told) -> Study:
    """Return the sections of a study's results, as :func:`streaming_metrics.ratings.results.results` made them."""
    made = [_task(task) for task in results["tasks"]]
    if results.get("beside"):
        made.append(_beside(results["beside"], results["tasks"]))
    if results["raters"]:
        made.append(_raters(results["raters"], results["left_out"]))
    who = "simulated raters" if results["raters_are"] == "simulated" else "raters"
    names = dict.fromkeys(name for task in results["tasks"] for name in task["conditions"])
    summary = f"{results['judgements']:,} judgements by {results['raters_counted']:,} {who} of {len(names)} conditions"
    simulated = results["raters_are"] == "simulated"
    return Study(results["study"], summary, results["signature"], simulated, results["notes"], made)


def _task(task: Told) -> Task:
    makers: dict[str, Callable[[Told], list[Block]]] = {
        "preference": _preference,
        "opinion": _opinion,
        "alignment": _opinion,
        "categorisation": _categorisation,
    }
    title = TITLES[task["kind"]] + (f": {task['name']}" if task["name"] != task["kind"] else "")
    text = f"{task['judgements']:,} judgements by {task['raters']:,} raters. {_agreed(task['agreement'])}"
    blocks = [*makers[task["kind"]](task), *_groups(task), *_contrasts(task), *_needed(task)]
    return Task(title, f"{text} {' '.join(task['notes'])}".strip(), blocks)


def _agreed(agreement: Told | None) -> str:
    value, interval = digits(None if agreement is None else agreement["alpha"])
    if agreement is None or value == NONE:
        return "How far raters agree cannot be told."
    return f"Agreement of raters: Krippendorff's α {value}{interval and f' ({interval})'}; 1 is full, 0 is chance."


def _opinion(task: Told) -> list[Block]:
    rows = [(one["condition"], (one["mean"], one["normalised"])) for one in task["scores"]]
    drawn = Dots.of(rows, f"score, 1 to {task['scale']}", span=(1, task["scale"]))
    return [Block("Mean opinion scores", words.OPINION, ("as given", "each rater normalised"), (drawn,))]


def _preference(task: Told) -> list[Block]:
    blocks = []
    if strengths := task["strengths"]:
        drawn = Dots.of(
            [(one["condition"], (one["strength"],)) for one in strengths["conditions"]], "log-odds", middle=0
        )
        extra = [_left_of(strengths["left_share"]), _ties_of(strengths["tie"])]
        text = " ".join([words.STRENGTHS.format(strengths["model"]), *filter(None, extra), *strengths["notes"]])
        blocks.append(Block("Strengths", text, dots=(drawn,)))
    blocks.append(Block("How often a row was preferred to a column", words.WINS, heat=_heat(task["wins"])))
    shares = [(one["condition"], (one["share"],)) for one in task["scores"]]
    blocks.append(
        Block("Share of comparisons won", words.SHARES, dots=(Dots.of(shares, "share", span=(0, 1), middle=0.5),))
    )
    if online := task["online"]:
        rows = [(one["condition"], *(f"{one[key]:.2f}" for key in ("mu", "sigma", "ordinal"))) for one in online]
        table = Table(("condition", "μ", "σ", "μ − 3σ"), rows)
        blocks.append(Block("", table=table, folded="Online ratings (OpenSkill), in the order of the judgements"))
    return blocks


def _left_of(share: Told | None) -> str:
    value, interval = digits(share)
    return "" if value == NONE else words.LEFT.format(value, interval and f" ({interval})")


def _ties_of(tie: float) -> str:
    return words.TIES.format(100 * tie / (2 + tie)) if tie else ""


def _heat(matrix: Told) -> Heat:
    names, rows = matrix["conditions"], []
    for i, name in enumerate(names):
        cells = [None if i == j else _cell(matrix, i, j) for j in range(len(names))]
        rows.append(HeatRow(name, cells))
    return Heat(names, rows)


def _cell(matrix: Told, i: int, j: int) -> Cell | None:
    won, lost, tied = matrix["wins"][i][j], matrix["wins"][j][i], matrix["ties"][i][j]
    if not (count := won + lost + tied):
        return None
    share = (won + tied / 2) / count
    counts = f"{won} won, {lost} lost, {tied} tied"
    return Cell(f"{100 * share:.0f} %", round(140 * abs(share - 0.5)), share < 0.5, counts)


def _categorisation(task: Told) -> list[Block]:
    blocks = (
        [Block("Over the time it is seen", words.DETECTION, charts=charts)] if (charts := exposure_charts(task)) else []
    )
    rows = [(_seen(one), (one["dprime"],)) for one in task["scores"]]
    blocks.append(Block("Sensitivity d′", words.DPRIME, dots=(Dots.of(rows, "d′", middle=0),)))
    fooled = [(_seen(one), (one["fooled"],)) for one in task["scores"]]
    blocks.append(Block("Taken for real", words.FOOLED, dots=(Dots.of(fooled, "share", span=(0, 1), middle=0.5),)))
    counts = ("hits", "misses", "false_alarms", "correct_rejections")
    cells = [
        (_seen(one), " ".join(digits(one["accuracy"])), " ".join(digits(one["bias"])), *(f"{one[c]}" for c in counts))
        for one in task["scores"]
    ]
    headings = ("condition", "accuracy", "criterion c", "hits", "misses", "false alarms", "correct rejections")
    return [*blocks, Block("", table=Table(headings, cells), folded="Accuracy, bias and counts")]


def _seen(one: Told) -> str:
    ms = one["exposure_ms"]
    return one["condition"] if ms is None else f"{one['condition']}, {ms:g} ms"


def _groups(task: Told) -> list[Block]:
    """Return what each category and challenge of prompts says, in small multiples."""
    span, unit, middle = ((1, task["scale"]), "score", None) if task["scale"] else ((0, 1), "share", 0.5)
    blocks = []
    for by, groups in task["groups"].items():
        drawn = [
            (f"{group['name']} ({group['judgements']:,})", Dots.of(_grouped(group), unit, span=span, middle=middle))
            for group in groups
        ]
        blocks.append(Block(f"By {by} of prompts", words.GROUPS.format(words.MEANS[task["kind"]]), multiples=drawn))
    return blocks


def _grouped(group: Told) -> list[tuple[str, tuple[Any]]]:
    return [(one["condition"], (one["score"],)) for one in group["scores"]]


def _contrasts(task: Told) -> list[Block]:
    rows = [
        (f"{one['first']} − {one['second']}", *_with_sign(one["difference"]), *map(_chance, (one["p"], one["p_holm"])))
        for one in task["contrasts"]
    ]
    if not rows:
        return []
    table = Table(("pair", "difference", "interval", "p", "p (Holm)"), rows)
    text = words.CONTRASTS.format(words.DIFFERENCES[task["kind"]])
    text += words.BY_CHANCE.format(len(rows)) if len(rows) > 1 else ""
    folded = f"{len(rows)} pairs" if len(rows) > FEW_ROWS else ""
    return [Block("Differences between conditions", text, table=table, folded=folded)]


def _with_sign(one: Told | None) -> tuple[str, str]:
    value, interval = digits(one)
    return (value if value[0] in f"−{NONE}" else f"+{value}"), interval


def _chance(p: float | None) -> str:
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _needed(task: Told) -> list[Block]:
    needed = task["needed"]
    if needed is None:
        return []
    rows = [
        (
            one["condition"],
            NONE if one["half_width"] is None else f"{one['half_width']:.3f}",
            _more(one),
        )
        for one in needed["conditions"]
    ]
    table = Table(("condition", "half-width now", "judgements more"), rows, is_said=True)
    return [Block("Still needed", words.NEEDED.format(needed["half_width"]), table=table)]


def _more(one: Told) -> str:
    """Return how many judgements more, or why more raters cannot do; and where the same raters can, how many."""
    more, same = one["note"] or f"{one['judgements']:,}", one.get("same_raters")
    return more if same is None else f"{more}; or {same:,} by the same raters"


def _raters(raters: Sequence[Told], left_out: Told) -> Task:
    rows = [
        (
            one["rater"],
            f"{one['judgements']}",
            f"{one['passed']} of {one['checks']}" if one["checks"] else NONE,
            NONE if one["median_reaction_ms"] is None else f"{one['median_reaction_ms'] / 1000:.1f} s",
            digits({"value": one["agreement"]})[0],
            ", ".join(one["flags"]) or ("left out" if one["rater"] in left_out["raters"] else ""),
        )
        for one in raters
    ]
    flagged = sum(bool(one["flags"]) for one in raters)
    gone = (
        f"{len(left_out['raters'])} were left out, with {left_out['judgements']:,} judgements."
        if left_out["raters"]
        else "None was left out."
    )
    table = Table(
        ("rater", "judgements", "checks passed", "median time", "agreement with the rest", "flags"), rows, is_said=True
    )
    text = (
        f"{flagged} of {len(raters)} raters are flagged. {gone} Attention checks count here alone, never as judgements."
    )
    folded = f"{len(rows)} raters" if len(rows) > 3 * FEW_ROWS else ""
    return Task("Raters", text, [Block("", table=table, folded=folded)])


def _beside(beside: Sequence[Told], tasks: Sequence[Told]) -> Task:
    blocks = []
    for place, one in enumerate(beside):
        names = short_names([found["measure"] for found in one["measures"]])
        rows = [
            (
                f"{names[found['measure']]} {found['better'] or ''}".strip(),
                " ".join(_bracketed(found["spearman"])),
                " ".join(_bracketed(found["kendall"])),
                f"{found['checkpoints']}",
                found["note"],
            )
            for found in one["measures"]
        ]
        table = Table(("measure", "Spearman ρ", "Kendall τ", "checkpoints", ""), rows, is_said=True)
        title = TITLES[next(task["kind"] for task in tasks if task["name"] == one["task"])]
        blocks.append(Block(f"{title} ({one['score']})", table=table))
        blocks.append(Block("", charts=beside_charts(one, names), folded="Point by point" if place else ""))
    return Task("Beside computed measures", words.BESIDE, blocks)


def _bracketed(one: Told) -> tuple[str, str]:
    value, interval = digits(one)
    return value, interval and f"({interval})"
