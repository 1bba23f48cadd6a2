"""``streaming-metrics study results`` and ``study tournament``: what people, and discriminators, say."""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streaming_metrics.cli.exits import exit_codes
from streaming_metrics.cli.outputs import STDOUT, check_writable, refuse_overwriting
from streaming_metrics.cli.study import Plan, StoreFile, app, store_path
from streaming_metrics.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.ratings.gam import Gam
    from streaming_metrics.ratings.judgements import Judgements
    from streaming_metrics.ratings.results import StudyFacts
    from streaming_metrics.study.plan import StudyPlan

Answers = Annotated[list[Path] | None, typer.Option(help="Answers of a static page, or judgements; may be repeated.")]
Json = Annotated[Path | None, typer.Option(help="Write the results as JSON; - is stdout.")]
Report = Annotated[Path | None, typer.Option(help="Write a report as HTML.")]
Beside = Annotated[
    list[str] | None,
    typer.Option(help="CONDITION=scores.json of `compare --json`, or a monitor's metrics.csv; may be repeated."),
]
HalfWidth = Annotated[float | None, typer.Option(help="Say how many judgements are still needed for ± this.")]
WithoutFlagged = Annotated[bool, typer.Option("--without-flagged", help="Leave out flagged raters, and say how many.")]

WithoutMistimed = Annotated[
    bool,
    typer.Option(
        "--without-mistimed", help="Leave out images shown a frame longer or shorter than asked; say how many."
    ),
]


@app.command()
def results(
    plan: Plan,
    store: StoreFile = None,
    answers: Answers = None,
    json: Json = None,
    report: Report = None,
    beside: Beside = None,
    half_width: HalfWidth = None,
    without_flagged: WithoutFlagged = False,
    without_mistimed: WithoutMistimed = False,
) -> None:
    """Say what people say: scores with intervals, strengths, contrasts, agreement, raters; as table, JSON, report."""
    from streaming_metrics.ratings.results import results as results_of
    from streaming_metrics.study.plan import StudyPlan

    with exit_codes():
        read = StudyPlan.read(plan)
        file = store_path(plan, read, store)
        for path in (None if json == STDOUT else json, report):
            check_writable(path)
        refuse_overwriting((json, report), [str(one) for one in (plan, file, *(answers or []))])
        judgements, facts = _gathered(read, file, answers or [])
        found = results_of(
            judgements,
            facts,
            half_width=half_width,
            without_flagged=without_flagged,
            without_mistimed=without_mistimed,
        )
        if beside:
            found["beside"] = _beside(found, beside)
        _publish(found, json, report)


def _gathered(plan: StudyPlan, file: Path, answers: Sequence[Path]) -> tuple[Judgements, StudyFacts]:
    """Return the judgements of a store and of files, and what is known of their study."""
    from streaming_metrics.ratings.results import StudyFacts
    from streaming_metrics.study.store import Store

    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: expected the study's store, got no such file. Remedy: `study serve` or `study export` makes it; "
            "--store names another."
        )
    with Store.open(file) as store:
        known = plan.with_items(store.items())
        judgements = store.judgements()
        for one in answers:
            judgements = judgements.merge(_of_file(one, known))
        simulated = store.meta("raters_are") == "simulated"
    _refuse_other(judgements, known)
    tasks, prompts = tuple(task.name for task in known.tasks), known.prompts_digest[:8] or "none"
    return judgements, StudyFacts(tuple(known.conditions), tasks, prompts, known.items_digest[:8], simulated)


def _of_file(path: Path, plan: StudyPlan) -> Judgements:
    if not path.exists():
        raise FileNotFoundError(f"--answers: expected answers of a page, or judgements, got no file {path}.")
    if _is_answers(path):
        from streaming_metrics.study.answers import judgements_of

        return judgements_of(path, plan)
    from streaming_metrics.ratings.judgements import Judgements

    return Judgements.read(path)


def _is_answers(path: Path) -> bool:
    """Return whether a file is what a static page wrote, rather than judgements."""
    if path.suffix != ".json":
        return False
    try:
        return isinstance(json_.loads(path.read_text(encoding="utf-8")), dict)
    except (ValueError, RecursionError):
        return True  # whose reader says what is wrong with it


def _refuse_other(judgements: Judgements, plan: StudyPlan) -> None:
    other = sorted({one.study for one in judgements} - {plan.study})
    if other:
        raise ValueError(
            f"Expected judgements of {plan.study}, got those of {', '.join(other)}: the plan, its prompts or its "
            "images have changed since. Remedy: undo the change, or name the right --store."
        )


def _beside(found: dict[str, Any], files: Sequence[str]) -> list[dict[str, Any]]:
    from streaming_metrics.cli.beside import read_computed
    from streaming_metrics.ratings.results_beside import beside_results
    from streaming_metrics.ratings.results_file import conditions_of

    computed = read_computed(files, conditions_of(found))
    return beside_results(found, computed.values, computed.better, computed.errors)


def _publish(found: dict[str, Any], json: Path | None, report: Path | None) -> None:
    from streaming_metrics.cli.study_table import show_results
    from streaming_metrics.ratings.results_file import as_json, write_results

    if json not in (None, STDOUT):
        write_results(json, found)
    if report is not None:
        from streaming_metrics.report import write_study

        write_study(report, found)
    if json == STDOUT:  # last: who reads stdout may go before its end, as `head` does
        say(as_json(found))
    else:
        show_results(found)


@app.command()
def tournament(
    matches: Annotated[Path, typer.Argument(metavar="MATCHES.csv", help="Discriminators' scores, or counts of them.")],
    logits: Annotated[bool, typer.Option("--logits", help="Scores are log-odds, not probabilities.")] = False,
    prior: Annotated[float, typer.Option(help="Log-odds of a prior of skills, which keeps them finite.")] = 3.0,
    gam: Annotated[str | None, typer.Option(metavar="G1:D1,G2:D2", help="Two models that GAM compares.")] = None,
    json: Json = None,
) -> None:
    """Say how snapshots of generators fare against snapshots of discriminators: win rates, skills, NRDS, GAM."""
    from streaming_metrics.cli.study_table import show_tournament
    from streaming_metrics.ratings.gam import gam as gam_of
    from streaming_metrics.ratings.match_files import read_matches
    from streaming_metrics.ratings.match_results import match_results
    from streaming_metrics.ratings.results_file import as_json, write_results

    with exit_codes():
        if not matches.exists():
            raise FileNotFoundError(f"{matches}: expected discriminators' scores, got no such file. Remedy: its path.")
        check_writable(None if json == STDOUT else json)
        refuse_overwriting((json,), (str(matches),))
        read, models = read_matches(matches, logits=logits), _models(gam)
        found = match_results(read, prior)
        if models is not None:
            found["gam"] = _plain_gam(gam_of(read, *models))
        if json == STDOUT:
            say(as_json(found))
            return
        if json is not None:
            write_results(json, found)
        show_tournament(found)


def _models(text: str | None) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Return two models, a generator and its discriminator each."""
    if text is None:
        return None
    named = [tuple(part.split(":")) for part in text.split(",")]
    if len(named) != 2 or any(len(one) != 2 for one in named):
        raise ValueError(f"--gam: expected G1:D1,G2:D2, got {text!r}. Remedy: twice a generator and its discriminator.")
    one, other = named
    return (one[0], one[1]), (other[0], other[1])


def _plain_gam(found: Gam) -> dict[str, Any]:
    from streaming_metrics.ratings.task_results import told

    ratios = {"r_test": told(found.r_test), "r_samples": told(found.r_samples)}
    return {**ratios, "winner": found.winner, "certain": found.certain, "tolerance": found.tolerance}
