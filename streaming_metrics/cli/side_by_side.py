"""Side by side: several generated sides against one real side, which is read once and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from streaming_metrics.cli.drawing import NotDrawn, draw_into
from streaming_metrics.cli.exif import signed
from streaming_metrics.cli.labels import labelled, lines_of_labels
from streaming_metrics.cli.plan import Plan, needs_count
from streaming_metrics.cli.reading import ReadResult, refuse_unreadable
from streaming_metrics.cli.results import Result, same_images, warnings_of
from streaming_metrics.cli.scoring import Comparison, Job, _count, _now, _origin
from streaming_metrics.cli.seeds import refuse_other_paths
from streaming_metrics.core.shell import GenerativeMetrics
from streaming_metrics.files.reference import Reference
from streaming_metrics.images import Images
from streaming_metrics.images.generated import Generated
from streaming_metrics.measures.base import Roles
from streaming_metrics.report.recorded_warnings import recorded_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streaming_metrics.cli.scoring import Source
    from streaming_metrics.measures.base import Measure


@dataclass(frozen=True)
class Entrant:
    """Entrant of a comparison: one generated side, before it is read.

    Args:
        text: as the user named it.
        side: the source.
        plan: what is scored of it.
        saved: its references, one of each network; none where it is images.
        skipped: images that are left out, since they do not read.
    """

    text: str
    side: Source
    plan: Plan
    saved: Sequence[Reference] = ()
    skipped: ReadResult = field(default_factory=ReadResult)


def side_by_side(
    job: Job,
    real: str,
    fakes: Mapping[str, str | Generated],
    *,
    same_seeds: bool = False,
    lost: dict[str, str] | None = None,
) -> Iterator[tuple[str, Comparison]]:
    """Yield the scores of each generated side against the real one, by name; collective.

    The metric of a comparison holds that side's samples until the next one is asked for.

    Args:
        job: how.
        real: source of the real side.
        fakes: source of each generated side, by name, or the images of a checkpoint.
        same_seeds: refuse sides that are known, before an image is read, not to be of the same seeds.
        lost: takes why a checkpoint is left out, by name; None raises what it says.

    Raises:
        NotEnoughSamples: before an image is read, where a side has enough for no measure.
        Unreadable: naming all images of all sides that do not read.
        ValueError: where a measure that is told the number of images would be told several.
    """
    with recorded_warnings() as said:
        window = job._window(real)
        real_side = job._find(real, window)
        found = {n: one if isinstance(one, Generated) else job._find(one, window) for n, one in fakes.items()}
        texts = {name: one.path if isinstance(one, Generated) else one for name, one in fakes.items()}
        entrants = _entrants(job, real_side, found, texts, same_seeds)
        scored = list(dict.fromkeys(measure for one in entrants.values() for measure in one.plan.scored))
        sides = {real: real_side, **{one.text: one.side for one in entrants.values()}}
        job._say(lines_of_labels(scored, sides))
        job._check_headers(sides)
        known = job._saved(real, real_side, Plan(scored, {}))
        network = job.network.load(scored, known[0] if known else None)
        metric = GenerativeMetrics(scored, network, reference=known or None, timeout=job.comm.timeout)
        metric = metric.to(network.device)
        takes = labelled(metric, real_side)
        outcome = job._read(takes, real_side, real=True) if isinstance(real_side, Images) else None
        read = [] if outcome is None else [outcome]
        if not _failed(job, read):
            metric.freeze_real()
        origin = _origin(real, real_side, outcome, ReadResult())
    for name, one in entrants.items():
        with recorded_warnings() as more:
            metric.reset()
            metric.measures = tuple(one.plan.scored)
            try:
                outcome = _add(job, None if _failed(job, read) else metric, name, one, real_side)
            except NotDrawn as error:
                if lost is None:
                    raise
                lost[name] = str(error)
                job._say([f"{name} is left out: {error}"])
                continue
            read += [] if outcome is None else [outcome]
            if _failed(job, read):
                continue
            last = Plan.of(metric.measures, _count(real_side), _count(one.side, outcome))
            last.refuse_none()
            metric.measures = tuple(last.scored)
            values = metric.compute()
        its_origin = _origin(one.text, one.side, outcome, one.skipped)
        warnings = [*said, *more, *_warnings(real, real_side), *_warnings(one.text, one.side)]
        warnings += same_images(origin, its_origin)
        result = Result(
            {key: value.item() for key, value in values.items()},
            signed(metric.signature(), exif=job.exif),
            origin,
            its_origin,
            list(dict.fromkeys(warnings)),
            {**one.plan.unscored, **last.unscored},
            _now(),
        )
        if metric.evidence:
            result = replace(result, evidence=dict(metric.evidence), ids=job._ids(one.side))
        yield name, Comparison(metric, values, result, Roles(real_side, one.side))
    refuse_unreadable(read if not job.reading.skip else [], job.comm)


def _entrants(
    job: Job, real: Source, sides: Mapping[str, Images | Reference], fakes: Mapping[str, str], same_seeds: bool
) -> dict[str, Entrant]:
    if same_seeds:
        refuse_other_paths(sides)
    found: dict[str, Entrant] = {}
    planned: Entrant | None = None  # of checkpoints, which have as many images each: what is not scored is told once
    for name, text in fakes.items():
        side = sides[name]
        if not isinstance(side, Generated):
            found[name] = _entrant(job, text, Roles(real, side))
            continue
        planned = planned or _entrant(job, text, Roles(real, side))
        found[name] = replace(planned, text=text, side=side)
    _refuse_counts(
        {name: one.side for name, one in found.items()}, [m for one in found.values() for m in one.plan.scored]
    )
    return found


def _entrant(job: Job, text: str, sides: Roles[Source]) -> Entrant:
    plan = job._plan(sides)
    if isinstance(sides.fake, Generated):
        return Entrant(text, sides.fake, plan)
    saved = job._saved(text, sides.fake, plan)
    left, skipped = job._without_unreadable(sides, plan)
    return Entrant(text, left.fake, job._plan(left) if skipped.unreadable else plan, saved, skipped)


def _add(job: Job, metric: GenerativeMetrics | None, name: str, one: Entrant, real: Source) -> ReadResult | None:
    """Add a side to the metric, or decode it alone to list what does not read; None of what was saved."""
    if isinstance(one.side, Generated):
        shown = job.shows_progress and job.comm.rank == 0
        return None if metric is None else draw_into(metric, one.side, job.comm, what=name, shown=shown)
    if metric is not None:
        job._merge(metric, one.saved)
    takes = None if metric is None else labelled(metric, real, one.side)
    return job._read(takes, one.side, real=False, what=name) if isinstance(one.side, Images) else None


def _failed(job: Job, read: Sequence[ReadResult]) -> bool:
    return not job.reading.skip and any(outcome.unreadable for outcome in read)


def _warnings(text: str, side: Source) -> list[str]:
    return [f"{text}: {warning}" for warning in warnings_of(side)] if isinstance(side, Reference) else []


def _refuse_counts(sides: Mapping[str, Source], measures: Sequence[Measure]) -> None:
    counts = {name: len(side) for name, side in sides.items() if isinstance(side, Images)}
    if needs_count(measures) and len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise ValueError(
            f"is: expected as many images of every side, which its splits depend on, got {told}. Remedy: --num-samples "
            f"{min(counts.values())}; or is(assignment=interleaved)."
        )
