"""Study table: what people say, in a terminal: a table for each task, contrasts, agreement, raters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.terminal import say, show_table, show_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Told = Mapping[str, Any]

NONE = "–"
DIFFERENCES = {
    "preference": "share won of the pair, less ½",
    "opinion": "difference of mean scores",
    "alignment": "difference of mean scores",
    "categorisation": "difference of taken for real",
}
MOST_PAIRS = 10
"""Pairs of conditions that are shown; the JSON and the report have all."""


def show_results(results: Told) -> None:
    """Print the results of a study."""
    for task in results["tasks"]:
        by = f"{counted(task['judgements'], 'judgement')}, {counted(task['raters'], 'rater')}"
        say(f"\n{task['name']}: {by}, {_agreed(task)}")
        show_table(*_scores(task), headed=True)
        if pairs := task["contrasts"]:
            say("")
            show_table(
                (DIFFERENCES[task["kind"]], "", "interval", "p", "p (Holm)"),
                map(_pair, pairs[:MOST_PAIRS]),
                headed=True,
            )
            if len(pairs) > MOST_PAIRS:
                say(f"… {counted(len(pairs) - MOST_PAIRS, 'pair')} more in --json and --report")
        if task["groups"]:
            say(f"By {' and '.join(task['groups'])} of prompts: in --json and --report")
        show_text([*_needed(task), *task["notes"], *((task.get("strengths") or {}).get("notes", []))])
    for one in results["beside"]:
        say(f"\nbeside {one['task']} ({one['score']}), 1 is full agreement:")
        show_table(("measure", "Spearman", "Kendall", "n", ""), _measures(one["measures"]), headed=True)
    say("")
    show_text([*_raters(results), *results["notes"]])
    if results["raters_are"] == "simulated":
        say("The raters are simulated: no person has judged.")
    say(results["signature"])


def _agreed(task: Told) -> str:
    found = task["agreement"] and task["agreement"]["alpha"]
    return f"agreement α {told(found)}" if found else "agreement not known"


def _scores(task: Told) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
    if task["kind"] == "preference":
        strengths = {one["condition"]: one["strength"] for one in (task["strengths"] or {}).get("conditions", [])}
        rows = [(one["condition"], told(strengths.get(one["condition"])), told(one["share"])) for one in task["scores"]]
        return ("condition", "strength (log-odds)", "share won"), rows
    if task["kind"] == "categorisation":
        names = ("dprime", "accuracy", "fooled")
        rows = [(_seen(one), *(told(one[name]) for name in names)) for one in task["scores"]]
        return ("condition", "d′", "accuracy", "taken for real"), rows
    rows = [(one["condition"], told(one["mean"]), told(one["normalised"])) for one in task["scores"]]
    return ("condition", f"mean score, 1 to {task['scale']}", "normalised by rater"), rows


def _seen(one: Told) -> str:
    return one["condition"] if one["exposure_ms"] is None else f"{one['condition']} {one['exposure_ms']:g} ms"


def told(one: Told | None) -> str:
    """Return an estimate and its interval in digits; a dash where it cannot be told.

    Example:
        >>> told({"value": 3.414, "low": 3.2, "high": 3.62}), told(None)
        ('3.41 (3.20 to 3.62)', '–')
    """
    if one is None or one["value"] is None:
        return NONE
    ends = _interval(one)
    return _digits(one["value"]) + (f" ({ends})" if ends != NONE else "")


def _interval(one: Told | None) -> str:
    low, high = ((one or {}).get(end) for end in ("low", "high"))
    return NONE if low is None or high is None else f"{_digits(low)} to {_digits(high)}"


def _digits(value: float, sign: str = "") -> str:
    return f"{value:{sign}.2f}".replace("-", "−")


def counted(count: int, noun: str) -> str:
    """Return how many there are of something.

    Example:
        >>> counted(1, "rater"), counted(1200, "judgement")
        ('1 rater', '1,200 judgements')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _pair(one: Told) -> tuple[str, ...]:
    difference = one["difference"]
    value = NONE if difference is None else _digits(difference["value"], "+")
    return f"{one['first']} − {one['second']}", value, _interval(difference), _chance(one["p"]), _chance(one["p_holm"])


def _chance(p: float | None) -> str:
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _needed(task: Told) -> list[str]:
    if not (needed := task["needed"]):
        return []
    told: dict[str, list[str]] = {}
    for one in needed["conditions"]:
        told.setdefault(_more(one), []).append(one["condition"])
    return [f"± {needed['half_width']:g} for {', '.join(names)}: {more}" for more, names in told.items()]


def _more(one: Told) -> str:
    if one["judgements"] == 0:
        return "reached"
    more = f"{counted(one['judgements'] or 0, 'judgement')} more, by {counted(one['raters'] or 0, 'rater')} more"
    same = one.get("same_raters")
    return (one["note"] or more) + ("" if same is None else f"; or {same:,} by the same raters")


def _measures(found: Sequence[Told]) -> list[tuple[str, ...]]:
    from streaming_metrics.report.charts import short_names

    names = short_names([one["measure"] for one in found])
    return [
        (
            f"{names[one['measure']]} {one['better'] or ''}".strip(),
            told(one["spearman"]),
            told(one["kendall"]),
            f"{one['checkpoints']}",
            one["note"],
        )
        for one in found
    ]


def _raters(results: Told) -> list[str]:
    flagged = [one for one in results["raters"] if one["flags"]]
    lines = [f"raters: {len(results['raters'])}, {len(flagged)} of them flagged"]
    return lines + [
        f"  {one['rater']}: {', '.join(one['flags'])}; {counted(one['judgements'], 'judgement')}" for one in flagged
    ]


def show_tournament(results: Told) -> None:
    """Print the results of a tournament."""
    shares = results["nrds"] or {}
    rows = [(one["name"], told(one["win_rate"]), told(one["skill"])) for one in results["generators"]]
    headings = ("generator", "win rate", "skill (log-odds)", *(("NRDS",) if shares else ()))
    show_table(headings, [(*row, *((f"{shares[row[0]]:.3f}",) if shares else ())) for row in rows], headed=True)
    say("")
    skills = [(one["name"], told(one["skill"])) for one in results["discriminators"]]
    show_table(("discriminator", "skill (log-odds)"), skills, headed=True)
    if gam := results.get("gam"):
        winner = gam["winner"] or "none: the discriminators differ on real samples, or nothing tells the models apart"
        sure = "" if gam["certain"] or not gam["winner"] else ", which could be chance"
        say(f"\nGAM: r_test {told(gam['r_test'])}, r_samples {told(gam['r_samples'])}; winner: {winner}{sure}")
    say(results["signature"])
