"""``streaming-metrics``: scores of images in files, from a terminal.

Exit codes: 0 done; 1 ``diff`` found what matters, or the program itself failed; 2 wrong options; 3 input that is
missing, damaged, unreadable or refused; 4 too few samples for a measure (the others are scored); 5 ranks are missing;
130 Ctrl-C.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from streaming_metrics.cli.exits import exit_codes
from streaming_metrics.cli.explain import explain
from streaming_metrics.cli.options import (
    NONE,
    BatchSize,
    CheckpointsPattern,
    Device,
    Exif,
    ExtractorName,
    NoCache,
    NumGenerated,
    NumSamples,
    OnError,
    Quiet,
    Sampler,
    SampleRange,
    Weights,
    Workers,
)
from streaming_metrics.cli.outputs import STDOUT, check_writable, refuse_overwriting
from streaming_metrics.cli.running import running, tell_all, teller
from streaming_metrics.cli.study_results import app as study_app
from streaming_metrics.cli.terminal import lenient_streams, say, show_table, show_text
from streaming_metrics.extractors.names import EXTRACTORS, RESIZE_NAMES, RESIZES_TOLD, weights_of
from streaming_metrics.signature import library_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming_metrics.cli.results import Result
    from streaming_metrics.cli.scoring import Comparison
    from streaming_metrics.measures import Measure

EXITS = (
    "Exit codes: 0 done; 1 diff found what matters; 2 wrong options; 3 input missing, damaged, unreadable or refused; "
    "4 too few samples; 5 ranks are missing; 130 Ctrl-C."
)
SOURCE = (
    "folder, image, zip, tar, .npz, saved reference, pattern like 'a/*.png', list.txt of paths, package.module:dataset"
    "; of clips for a network of clips"
)
SCORED = "A signature, or a file of scores, states or a reference."


def _checked_measures(text: str) -> str:
    """Return a list of measures by their labels; BadParameter where it is none. It is not the option's callback: that
    would import measures, and PyTorch, before other errors of usage are told.
    """
    from streaming_metrics.cli.own_measures import by_label
    from streaming_metrics.measures.registry import measures_of

    try:
        text = by_label(text)
        found = measures_of(text)
        if not found:
            raise ValueError(f"measures: expected a list like 'fid,kid', got {text!r}.")
        _refuse_unread(found)
    except (TypeError, ValueError, FileNotFoundError) as error:
        raise typer.BadParameter(str(error), param_hint="'--measures'") from error
    return text


def _refuse_unread(found: Sequence[Measure]) -> None:
    from streaming_metrics.cli.plan import with_count
    from streaming_metrics.cli.unread import refuse_unread

    refuse_unread(with_count(found, 1))  # of how many samples is not known yet


def _checked_measures_or_none(text: str) -> str:
    return NONE if text.strip().lower() == NONE else _checked_measures(text)


def _check_paired(text: str) -> None:
    if not text:
        return
    from streaming_metrics.extractors.names import lookup
    from streaming_metrics.measures.torchmetrics_names import PAIRED

    try:
        for name in filter(None, map(str.strip, text.split(","))):
            if ":" not in name:
                lookup(PAIRED, name.lower().replace("_", "-"), "paired metric")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--paired'") from error


class _Commands(TyperGroup):
    def main(self, *args: Any, **kwargs: Any) -> Any:
        lenient_streams()
        return super().main(*args, **kwargs)


app = typer.Typer(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Scores of generated images against real ones: FID, KID, IS, precision, recall, density, coverage.",
    epilog=EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(study_app, name="study")
app.command("explain")(explain)

Real = Annotated[str, typer.Argument(help=f"Real images: {SOURCE}.")]
Fakes = Annotated[list[str] | None, typer.Argument(help=f"Generated images, of one side or several: {SOURCE}.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
MEASURED = "e.g. fid,kid(subset_size=500),prdc(k=3); see `measures`; or package.module:Class(…)."
Measures = Annotated[str, typer.Option(help=MEASURED)]
SCORED_MEASURES = f"{MEASURED[:-1]}; none, for --paired alone."
ScoredMeasures = Annotated[str, typer.Option(help=SCORED_MEASURES)]
PAIRS = "Also of pairs, images of one path: psnr, ssim, ms-ssim, mse, rmse, lpips; or package.module:metric."
Paired = Annotated[str, typer.Option(show_default=False, help=PAIRS)]
Resize = Annotated[str | None, typer.Option(help=f"For inception-v3: {', '.join(RESIZE_NAMES)}.")]
Precision = Annotated[Literal["fp32", "tf32", "bf16"] | None, typer.Option(help="Of the extractor.")]
Seed = Annotated[int, typer.Option(min=0, help="Of --num-samples, and of what checkpoints draw.")]
Json = Annotated[Path | None, typer.Option(help="Write the scores as JSON; - is stdout.")]
Report = Annotated[Path | None, typer.Option(help="Write a report as HTML.")]
Study = Annotated[Path | None, typer.Option(help="Results of a study (`study results --json`), beside the scores.")]
Se = Annotated[bool, typer.Option("--se", help="Scores with standard errors, where measures have them.")]
ForErrors = Annotated[bool, typer.Option("--se", help="Keep what errors and tests of either side need.")]
PerPrompt = Annotated[int, typer.Option(min=1, help="Images in a row of one prompt: errors are by prompts.")]
Test = Annotated[bool, typer.Option("--test", help="Say which sides differ, of the same seeds; with errors.")]
Unpaired = Annotated[bool, typer.Option("--unpaired", help="Test sides of other seeds: wider intervals.")]
Capacity = Annotated[int | None, typer.Option(min=1, help="Keep a reservoir of so many features.")]
Half = Annotated[bool, typer.Option("--half", help="Keep features as float16.")]


def _show_version(asked: bool) -> None:
    if asked:
        say(f"streaming-metrics {library_version()}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which, and exit.")]


@app.callback()
def main(version: Version = False) -> None:
    """Scores of generated images against real ones: FID, KID, IS, precision, recall, density, coverage."""


@app.command()
def compare(
    real: Real,
    fakes: Fakes = None,
    measures: ScoredMeasures = "fid",
    paired: Paired = "",
    extractor: ExtractorName = None,
    weights: Weights = None,
    resize: Resize = None,
    precision: Precision = None,
    device: Device = None,
    batch_size: BatchSize = 64,
    workers: Workers = None,
    num_samples: NumSamples = None,
    seed: Seed = 0,
    on_error: OnError = "fail",
    exif: Exif = False,
    json: Json = None,
    report: Report = None,
    study: Study = None,
    se: Se = False,
    per_prompt: PerPrompt = 1,
    test: Test = False,
    unpaired: Unpaired = False,
    checkpoints: CheckpointsPattern = None,
    sampler: Sampler = None,
    num_generated: NumGenerated = 10_000,
    sample_range: SampleRange = "0,1",
    no_cache: NoCache = False,
    quiet: Quiet = False,
) -> None:
    """Score generated images against real ones; of several sides, or checkpoints, in one table, with the best."""
    fakes = _refuse_neither(fakes or [], checkpoints, sampler)
    measures = _checked_measures_or_none(measures)
    _check_paired(paired)
    from streaming_metrics.cli.feature_cache import FeatureCache
    from streaming_metrics.cli.people import people_of
    from streaming_metrics.cli.plan import Plan
    from streaming_metrics.cli.reading import ImageReader
    from streaming_metrics.cli.scoring import Job, Network
    from streaming_metrics.cli.several import Wanted, score_several
    from streaming_metrics.ratings.results_file import read_results

    network = Network(extractor, weights, resize, precision, device)
    with running(None if json == STDOUT else json, report) as comm:
        _refuse_nothing(measures, paired, report)
        _refuse_several(fakes, paired, test or unpaired)
        _refuse_beside_checkpoints(checkpoints, measures, paired, study)
        refuse_overwriting((json, report), (real, *fakes, *([] if study is None else [str(study)])))
        if report is not None:
            _check_charts(measures)
        reading, tell, with_errors = (
            ImageReader(batch_size, workers, on_error == "skip"),
            teller(quiet),
            se or test or unpaired,
        )
        job = Job(network, measures, comm, reading, num_samples, seed, tell, not quiet, paired, with_errors, per_prompt)
        job = replace(job, exif=exif, cache=None if no_cache else FeatureCache.usual())
        asked = None if study is None else read_results(study)
        wanted = Wanted(test or unpaired, unpaired, json, report, asked)
        if checkpoints is not None:
            from streaming_metrics.cli.checkpoints import Checkpoints, Drawing, score_checkpoints

            low, high = map(float, sample_range.split(","))
            how = Drawing(num_generated, batch_size, seed, (low, high))
            score_checkpoints(job, real, Checkpoints(checkpoints, str(sampler), how), wanted, tell)
            return
        if len(fakes) > 1:
            score_several(job, real, fakes, wanted, tell)
            return
        comparison = job.compare(real, fakes[0])
        if asked is not None:
            comparison = replace(comparison, result=replace(comparison.result, people=people_of(asked, fakes[0])))
        if comm.rank == 0:
            _publish(comparison.result, json, tell)
        if report is not None:
            _write_report(report, comparison, asked)
        Plan([], comparison.result.unscored).refuse_some()


@app.command()
def reference(
    data: Real,
    output: Output,
    measures: Measures = "fid,kid,prdc",
    extractor: ExtractorName = None,
    weights: Weights = None,
    resize: Resize = None,
    precision: Precision = None,
    device: Device = None,
    batch_size: BatchSize = 64,
    workers: Workers = None,
    num_samples: NumSamples = None,
    seed: Seed = 0,
    on_error: OnError = "fail",
    exif: Exif = False,
    capacity: Capacity = None,
    half: Half = False,
    se: ForErrors = False,
    no_cache: NoCache = False,
    quiet: Quiet = False,
) -> None:
    """Write the real side to a file; a path that ends in .npz gets mean and covariance alone, for pytorch-fid."""
    measures = _checked_measures(measures)
    from streaming_metrics.cli.feature_cache import FeatureCache
    from streaming_metrics.cli.reading import ImageReader
    from streaming_metrics.cli.scoring import Job, Network

    network = Network(extractor, weights, resize, precision, device)
    with running(output) as comm:
        refuse_overwriting((output,), (data,))
        reading, tell = ImageReader(batch_size, workers, on_error == "skip"), teller(quiet)
        job = Job(network, measures, comm, reading, num_samples, seed, tell, not quiet, errors=se, exif=exif)
        job = replace(job, cache=None if no_cache else FeatureCache.usual())
        origin, said = job.reference(data, output, capacity, half)
        if comm.rank == 0:
            tell_all(said, tell)
            show_table(
                ("file", "images", "data"), [(output, origin.num_samples or "unknown", origin.data or "unknown")]
            )


@app.command()
def merge(
    states: Annotated[list[Path], typer.Argument(help="Files of metric.save_state().")],
    output: Output,
    reference: Annotated[Path | None, typer.Option(help="What prdc(recall=False) counted against.")] = None,
    quiet: Quiet = False,
) -> None:
    """Add up the samples that jobs or ranks have saved; score them where they suffice."""
    from streaming_metrics.cli.plan import Plan
    from streaming_metrics.core.saved_states import merged
    from streaming_metrics.report.recorded_warnings import recorded_warnings

    with running(output) as comm, recorded_warnings() as said:
        if comm.world_size > 1:
            raise ValueError("merge: expected one process, got a launcher's ranks. Remedy: run it without torchrun.")
        metric = merged(states, reference)
        metric.save_state(output)
        plan = Plan.of(metric.measures, **{role: metric.num_samples(role) for role in metric.roles})
        plan.refuse_none()
        metric.measures = tuple(plan.scored)
        _show_scores({key: value.item() for key, value in metric.compute().items()}, metric.signature())
    tell_all(said, teller(quiet))
    with exit_codes():
        plan.refuse_some()


@app.command()
def show(file: Annotated[str, typer.Argument(help=SCORED)]) -> None:
    """Say how a file came about, and what it holds."""
    from streaming_metrics.cli.facts import contents, facts

    with exit_codes():
        show_table(("", ""), [*facts(file).items(), *contents(file)])


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help=SCORED)], second: Annotated[str, typer.Argument(help=SCORED)]
) -> None:
    """Say whether two scores compare, and why not; exit with 1 where something that matters differs."""
    from streaming_metrics.cli.facts import differences, facts, scores_apart

    with exit_codes():
        found = differences(facts(first), facts(second))
        rows = [("differs" if d.matters else "note", d.what, d.first or "?", d.second or "?") for d in found]
        show_table(
            ("", "what", "first", "second", "difference"),
            [*rows, *(("score", *row) for row in scores_apart(first, second))],
        )
    if any(difference.matters for difference in found):
        for why in (why for difference in found for why in difference.why):
            say(f"- {why}", stderr=True)
        say("These do not compare.", stderr=True)
        raise typer.Exit(1)
    say("These compare: nothing that matters differs.", stderr=True)


@app.command("test")
def compare_files(
    files: Annotated[list[str], typer.Argument(help="Of `compare --se --json`; FILE:SIDE is one side of several.")],
    unpaired: Unpaired = False,
    json: Json = None,
) -> None:
    """Say which sides that were scored at any time are better, by what each image adds to a score."""
    from streaming_metrics.cli import contests
    from streaming_metrics.cli.several_results import load_all, split_side

    with exit_codes():
        check_writable(None if json == STDOUT else json)
        refuse_overwriting((json,), [split_side(file)[0] for file in files])
        found = contests.contests(load_all(files), apart=unpaired)
        if json == STDOUT:
            say(contests.as_json(found))
        else:
            show_text(contests.lines_of(found))
        if json not in (None, STDOUT):
            contests.save(json, found)


@app.command()
def extractors() -> None:
    """List the networks with where their weights are from, and the named resizes of inception-v3."""
    show_table(("extractor", "weights"), [(name, weights_of(name)) for name in EXTRACTORS])
    show_table(("resize", "is"), RESIZES_TOLD.items())


@app.command()
def measures(
    names: Annotated[list[str] | None, typer.Argument(help="All of these: fid, kid, …; package.module:Class.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a page of documentation.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the measures: keys, what is better, class, what each reads, paper."""
    from streaming_metrics.cli import measure_list
    from streaming_metrics.measures.facts import dumped

    with exit_codes():
        found = measure_list.chosen(names or [])
        if markdown or json:
            say(measure_list.as_page(found) if markdown else dumped(found))
        elif names:
            measure_list.show_each(found)
        else:
            measure_list.show(found)


def _refuse_nothing(measures: str, paired: str, report: Path | None) -> None:
    """Raise ValueError where nothing is to be scored, or a report would have nothing to show."""
    if measures == NONE and not paired.strip(", "):
        raise ValueError("--measures none: expected --paired metrics beside it, got none. Remedy: --paired psnr,ssim.")
    if measures == NONE and report is not None:
        raise ValueError("--report: expected measures to draw, got --measures none. Remedy: --measures fid; or --json.")


def _refuse_several(fakes: Sequence[str], paired: str, test: bool) -> None:
    """Raise ValueError for what takes one generated side alone, or several."""
    if len(fakes) > 1 and paired:
        raise ValueError(f"--paired: expected one generated side, got {len(fakes)}. Remedy: a run of each side.")
    if len(fakes) == 1 and test:
        raise ValueError(
            "--test: expected generated sides to compare, got one. Remedy: compare REAL A B --test; or `compare --se "
            "--json` of each, and test A.json B.json."
        )


def _refuse_neither(fakes: list[str], checkpoints: str | None, sampler: str | None) -> list[str]:
    """Return the generated sides; raise BadParameter where neither they nor checkpoints are given, or both."""
    if not fakes and checkpoints is None:
        raise typer.BadParameter("Missing argument FAKES: generated images; or --checkpoints with --sampler.")
    if fakes and checkpoints is not None:
        raise typer.BadParameter(
            f"expected FAKES or --checkpoints, got both: {fakes[0]}, … Remedy: the pattern of --checkpoints in quotes."
        )
    if (checkpoints is None) != (sampler is None):
        raise typer.BadParameter("expected --checkpoints and --sampler together, got one of them.")
    return fakes


def _refuse_beside_checkpoints(checkpoints: str | None, measures: str, paired: str, study: Path | None) -> None:
    """Raise ValueError for what does not go with images that are drawn and not kept."""
    given = {"--paired": bool(paired), "--study": study is not None, "--measures none": measures == "none"}
    beside = [name for name, is_given in given.items() if is_given]
    if checkpoints is not None and beside:
        raise ValueError(
            f"{beside[0]}: expected generated sides that are kept, got --checkpoints. Remedy: leave it out."
        )


def _check_charts(measures: str) -> None:
    """Raise ModuleNotFoundError where the report would need matplotlib, and it is missing."""
    from streaming_metrics import report
    from streaming_metrics.measures.registry import measures_of

    report.check_charts([key for measure in measures_of(measures) for key in measure.keys])


def _publish(result: Result, json: Path | None, tell: Callable[[str], None]) -> None:
    from streaming_metrics.cli.people import lines_of

    tell_all(result.warnings, tell)
    if json == STDOUT:
        say(result.to_json())
    else:
        _show_scores(result.scores, result.signature, shows_better=bool(result.paired))
        show_text(f"people: {line}" for line in lines_of(result.people))
    if json not in (None, STDOUT):
        result.save(json)


def _write_report(path: Path, comparison: Comparison, study: dict[str, Any] | None) -> None:
    """Write the report; collective."""
    from streaming_metrics import report

    metric, (real, fake), about = comparison.metric, comparison.images, comparison.result.about
    assert metric is not None
    values = comparison.values
    report.write_comparison(path, metric=metric, values=values, real=real, fake=fake, about=about, study=study)


def _show_scores(scores: Any, signature: str, *, shows_better: bool = False) -> None:
    from streaming_metrics.cli.score_table import show_one
    from streaming_metrics.report.side_rows import error_of

    if any(error_of(key, scores) for key in scores):
        show_one(scores, better=shows_better)
        say(signature)
        return
    rows = [(key, f"{value:.6g}") for key, value in scores.items()]
    if shows_better:
        from streaming_metrics.measures.keys import scalar_of

        rows = [(*row, scalar_of(row[0]).better or "") for row in rows]
    show_table(("measure", "value", "better")[: len(rows[0])], rows)
    say(signature)


if __name__ == "__main__":
    app()
