"""Several generated sides: scored, told in one table, one file and one page, and compared where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.contests import contests, lines_of, not_compared
from streaming_metrics.cli.outputs import STDOUT
from streaming_metrics.cli.people import lines_of as lines_of_people
from streaming_metrics.cli.people import people_of
from streaming_metrics.cli.plan import Plan
from streaming_metrics.cli.score_table import show_sides
from streaming_metrics.cli.several_results import SeveralResults, names_of
from streaming_metrics.cli.side_by_side import side_by_side
from streaming_metrics.cli.terminal import say, show_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from streaming_metrics.cli.results import Result
    from streaming_metrics.cli.scoring import Comparison, Job
    from streaming_metrics.report.history import History
    from streaming_metrics.report.sides import SidesTable
    from streaming_metrics.verdicts.contests import Contest


@dataclass(frozen=True)
class Wanted:
    """What is wanted of several sides beside the table.

    Args:
        test: compare each pair of sides.
        apart: as if no two images had a seed in common.
        json, report: files to write; None for none.
        study: results of a study; None for none.
    """

    test: bool = False
    apart: bool = False
    json: Path | None = None
    report: Path | None = None
    study: Mapping[str, Any] | None = None


def score_several(job: Job, real: str, fakes: Sequence[str], wanted: Wanted, tell: Callable[[str], None]) -> None:
    """Score generated sides against one real side, and tell it; collective.

    Raises:
        NotEnoughSamples: at the end, where a side has too few samples for a measure.
        ValueError: once the scores are told, where sides cannot be compared.
    """
    texts, results, histories = dict(zip(names_of(fakes), fakes)), {}, []
    for name, one in side_by_side(job, real, texts, same_seeds=wanted.test and not wanted.apart):
        people = {} if wanted.study is None else people_of(wanted.study, texts[name])
        results[name] = replace(one.result, people=people)
        histories += [] if wanted.report is None else [_history(name, one)]
    found, refused = contests_of(results, wanted)
    if job.comm.rank == 0:
        publish(SeveralResults(results, [one.plain() for one in found]), found, wanted, tell)
    if wanted.report is not None:
        _write_page(job, wanted.report, wanted, results, found, histories)
    if refused:
        raise refused
    Plan(
        [], {f"{name}: {what}": why for name, one in results.items() for what, why in one.unscored.items()}
    ).refuse_some()


def show_contests(found: Sequence[Contest], sides: Mapping[str, Result]) -> None:
    """Print contests, and which scores have no evidence."""
    say("")
    show_text([*lines_of(found), *not_compared(sides)])


def contests_of(results: Mapping[str, Result], wanted: Wanted) -> tuple[list[Contest], ValueError | None]:
    """Return the contests that are wanted, or why there are none: the scores are told before that is raised."""
    if not wanted.test:
        return [], None
    try:
        return contests(results, apart=wanted.apart), None
    except ValueError as error:
        return [], error


def publish(
    several: SeveralResults,
    found: Sequence[Contest],
    wanted: Wanted,
    tell: Callable[[str], None],
    *,
    by_rows: bool = False,
) -> None:
    """Print and write results, on one rank; ``by_rows`` has a row of each side."""
    sides = several.sides
    for warning in dict.fromkeys(warning for one in sides.values() for warning in one.warnings):
        tell(warning)
    if wanted.json == STDOUT:
        say(several.to_json())
        return
    show_sides({name: one.scores for name, one in sides.items()}, by_rows=by_rows)
    show_text(f"people, {name}: {line}" for name, one in sides.items() for line in lines_of_people(one.people))
    if found:
        show_contests(found, sides)
    for signature in dict.fromkeys(one.signature for one in sides.values()):
        say(signature)
    if wanted.json is not None:
        several.save(wanted.json)


def _history(name: str, one: Comparison) -> History:
    from streaming_metrics.report import comparison_history

    assert one.metric is not None
    real, fake = one.images
    about = one.result.about
    return comparison_history(name, metric=one.metric, values=one.values, real=real, fake=fake, about=about)


def _write_page(
    job: Job,
    path: Path,
    wanted: Wanted,
    results: Mapping[str, Result],
    found: Sequence[Contest],
    histories: Sequence[History],
) -> None:
    from streaming_metrics.report import write_report

    sides, title = table_of(results, found), "Generated images against real ones, side by side"
    job.comm.on_first(lambda: write_report(path, histories, title, wanted.study, [sides]), f"report {path}")


def table_of(results: Mapping[str, Result], found: Sequence[Contest]) -> SidesTable:
    """Return results as a page shows them beside each other."""
    from streaming_metrics.report.sides import SidesTable

    return SidesTable.of({name: one.scores for name, one in results.items()}, found)
