"""Jobs of the command line, without the command line: sources in, scores or a reference out."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, cast

import torch
from torch import nn

from streaming_metrics.cli.cached_side import CachedSide
from streaming_metrics.cli.errors_asked import asked_for, for_reference
from streaming_metrics.cli.exif import as_asked, record_of_exif, refuse_unsaid, signed
from streaming_metrics.cli.feature_recorder import recorded
from streaming_metrics.cli.labels import labelled, lines_of_labels, record_of
from streaming_metrics.cli.options import NONE
from streaming_metrics.cli.pairs import read_pairs, signature_of, suite_of
from streaming_metrics.cli.pairs import told as told_of_pairs
from streaming_metrics.cli.pairs import unscored as without_pairs
from streaming_metrics.cli.plan import Plan, needs_count, with_count
from streaming_metrics.cli.preflight import check_headers
from streaming_metrics.cli.reading import ImageReader, ReadResult, refuse_unreadable
from streaming_metrics.cli.reference_files import files_of, with_others
from streaming_metrics.cli.results import Origin, Result, same_images, warnings_of
from streaming_metrics.cli.seeds import ids_of
from streaming_metrics.cli.terminal import reading_bar
from streaming_metrics.core.networks import read_by
from streaming_metrics.core.shell import GenerativeMetrics
from streaming_metrics.extractors.registry import WITH_ARGUMENTS, as_recorded, resolve, takes_of
from streaming_metrics.files.reference import Reference
from streaming_metrics.images import Chosen, Images, Part, Unreadable, find_reference, find_source, imported
from streaming_metrics.images.names import told
from streaming_metrics.images.own import refuse_untold
from streaming_metrics.images.pairs import aligned
from streaming_metrics.images.ranges import told_range_warning
from streaming_metrics.measures.base import Roles, Side
from streaming_metrics.measures.registry import measures_of
from streaming_metrics.report.recorded_warnings import recorded_warnings
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.cli.feature_cache import FeatureCache
    from streaming_metrics.cli.reading import TakesImages
    from streaming_metrics.core.metric_suite import MetricSuite
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.images.window import Window
    from streaming_metrics.measures.base import Measure

Source = Union[Images, Reference, None]  # noqa: UP007


@dataclass(frozen=True)
class Network:
    """Network of a run: which extractor, and where it runs.

    Args:
        extractor: a name, or ``package.module:name`` of an ``nn.Module`` or of a function that makes one; None takes
            the one that a saved reference was made with, else the one that the measures read of their own, else the
            reference Inception.
        weights, resize, precision: its options; None takes those of a saved reference, else the extractor's own.
        device: None takes CUDA where there is one.
    """

    extractor: str | None = None
    weights: str | None = None
    resize: str | None = None
    precision: str | None = None
    device: str | None = None
    loaded: dict[str, Extractor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def load(self, measures: Sequence[Measure], reference: Reference | None = None) -> Extractor:
        """Return the extractor that measures read, its weights read once, on the device.

        Raises:
            ValueError, OSError: where there is no such network, device or file of weights.
        """
        extractor, options = self._resolved(measures, reference)
        key = repr((extractor, sorted(options.items())))
        if key not in self.loaded:
            self.loaded.clear()
            self.loaded[key] = resolve(extractor, **options).to(self.found_device())
        return self.loaded[key]

    def window(self, measures: Sequence[Measure], reference: Reference | None = None) -> Window | None:
        """Return which frames of a clip the extractor looks at, which is then loaded; None where it takes images."""
        extractor, _ = self._resolved(measures, reference)
        return self.load(measures, reference).window if takes_of(extractor) == "clips" else None

    @property
    def named(self) -> Extractor | None:
        """The extractor that is loaded, of those that have names; None of one's own, whose code may change."""
        known = self.extractor is None or ":" not in self.extractor
        return next(iter(self.loaded.values()), None) if known else None

    @cached_property
    def own(self) -> nn.Module:
        """What ``package.module:name`` is, or makes."""
        found = imported(str(self.extractor))
        return found if isinstance(found, nn.Module) else found()

    def found_device(self) -> str:
        """Return the device; raise ValueError where this machine has no such one."""
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device: expected one of this machine, got {device!r}: {error}") from error
        return device

    def _resolved(
        self, measures: Sequence[Measure], reference: Reference | None
    ) -> tuple[str | nn.Module, dict[str, Any]]:
        """Return the extractor and its options: those that were asked for, else those that made the reference."""
        asked = {"weights": self.weights, "resize": self.resize, "precision": self.precision}
        if self.extractor is not None and ":" in self.extractor:
            return self.own, asked
        record = {} if reference is None else reference.about.get("extractor", {})
        recorded = record.get("name")
        if self.extractor is None and recorded and WITH_ARGUMENTS.fullmatch(recorded):
            raise ValueError(
                f"reference: expected the name of an extractor alone, got {recorded!r}, whose arguments may name files "
                "to load. Remedy: --extractor, if you trust it."
            )
        name = self.extractor or recorded or read_by(measures, weights=self.weights, resize=self.resize)
        if name == recorded:
            asked["precision"] = self.precision or record["precision"]
            name, prepared = as_recorded(name, record["resize"])
            asked["resize"] = self.resize or prepared
        return name, asked


@dataclass(frozen=True)
class Job:
    """Job of the command line: one run over all ranks.

    Args:
        network: the extractor.
        measures: their names; see :func:`measures_of`; ``"none"`` scores pairs alone.
        comm: the ranks.
        reading: how images are read.
        num_samples: how many of each source's images to take, at random; None takes all.
        seed: of that draw.
        tell: told in lines, on rank 0, what is worth knowing before the work is done.
        shows_progress: whether rank 0 shows how far it is.
        paired: metrics of torchmetrics between the two images of a pair, by name; empty for none.
        errors: whether measures that have standard errors give them.
        per_prompt: how many images in a row are of one prompt, and so depend on each other.
        exif: whether images are turned as EXIF says.
        cache: of features of files that have not changed; None for none.
    """

    network: Network
    measures: str
    comm: Comm
    reading: ImageReader = field(default_factory=ImageReader)
    num_samples: int | None = None
    seed: int = 0
    tell: Callable[[str], Any] = lambda line: None  # noqa: ARG005
    shows_progress: bool = True
    paired: str = ""
    errors: bool = False
    per_prompt: int = 1
    exif: bool = False
    cache: FeatureCache | None = None

    def compare(self, real: str, fake: str) -> Comparison:
        """Return the scores of two sources, of those measures that have enough samples; collective.

        Raises:
            NotEnoughSamples: before an image is read, where no measure has enough.
            Unreadable: naming all images that do not read.
        """
        if self.measures == NONE:
            return self._pairs_alone(real, fake)
        with recorded_warnings() as said:
            suite = suite_of(self.paired)
            sides = self._sides(real, fake, are_pairs=bool(suite))
            plan = self._plan(sides)
            self._say(lines_of_labels(plan.scored, {real: sides.real, fake: sides.fake}))
            self._check_headers({real: sides.real, fake: sides.fake})
            saved = [self._saved(*pair, plan) for pair in zip((real, fake), sides)]
            known = saved[0]
            network = self.network.load(plan.scored, known[0] if known else None)
            pairs = cast("Roles[Images]", sides)
            sides, skipped = self._without_unreadable(sides, plan)
            if skipped.unreadable:
                plan = self._plan(sides)
            metric = GenerativeMetrics(plan.scored, network, reference=known or None, timeout=self.comm.timeout)
            suite.refuse_keys(metric.keys)
            suite.declare()
            suite, metric = suite.to(network.device), metric.to(network.device)
            count, outcomes, reads_once = 0, Roles(None, None), bool(suite) and not skipped.unreadable
            if reads_once:
                count, outcomes = self._add_pairs(suite, pairs, metric)
            else:
                outcomes = self._add(metric, sides, saved[1])
            origins = [_origin(*side) for side in zip((real, fake), sides, outcomes, (ReadResult(), skipped))]
            last = Plan.of(metric.measures, *(_count(*pair) for pair in zip(sides, outcomes)))
            last.refuse_none()
            metric.measures = tuple(last.scored)
            values = metric.compute()
            if suite and not reads_once:  # of the generated images some are left out, and so numbered anew
                count, _ = self._add_pairs(suite, pairs)
            values |= suite.values(self.comm)
        evidence = dict(metric.evidence)
        scores = {key: value.item() for key, value in values.items()}
        for name, side in zip((real, fake), sides):
            said += [f"{name}: {warning}" for warning in warnings_of(side)] if isinstance(side, Reference) else []
        said += same_images(*origins)
        unscored = {**plan.unscored, **last.unscored, **without_pairs(suite, count)}
        told = told_of_pairs(suite, count) if count else {}
        result = Result(
            scores, signed(metric.signature(), exif=self.exif), origins[0], origins[1], said, unscored, _now(), told
        )
        if evidence:
            result = replace(result, evidence=evidence, ids=self._ids(sides.fake))
        return Comparison(metric, values, result, sides)

    def _pairs_alone(self, real: str, fake: str) -> Comparison:
        """Return the scores of pairs, each image decoded once, and no network loaded for measures; collective."""
        with recorded_warnings() as said:
            suite = suite_of(self.paired).to(self.network.found_device())
            suite.declare()
            sides = self._sides(real, fake, are_pairs=True)
            self._check_headers({real: sides.real, fake: sides.fake})
            pairs, outcomes = self._add_pairs(suite, cast("Roles[Images]", sides))
            Plan([], without_pairs(suite, pairs)).refuse_some()
            values = suite.values(self.comm)
        origins = Roles(*(_origin(*side, ReadResult()) for side in zip((real, fake), sides, outcomes)))
        scores, signature = (
            {key: value.item() for key, value in values.items()},
            signed(signature_of(suite, outcomes), exif=self.exif),
        )
        told = told_of_pairs(suite, pairs)
        said += same_images(origins.real, origins.fake)
        result = Result(scores, signature, origins.real, origins.fake, said, date=_now(), paired=told)
        return Comparison(None, values, result, sides)

    def reference(
        self, data: str, path: Path, capacity: int | None = None, half: bool = False
    ) -> tuple[Origin, list[str]]:
        """Write a source as a reference, by rank 0; return where it came from, and what was warned of; collective."""
        source = self._find(data, self._window(data))
        if isinstance(source, Reference):
            raise ValueError(f"{data}: expected images, got a saved reference. Remedy: copy it, or give its images.")
        with recorded_warnings() as said:
            measures = for_reference(measures_of(self.measures), errors=self.errors)
            self._check_headers({data: source})
            network = self.network.load(measures)
            self._say(lines_of_labels(measures, {data: source}))
            metric = GenerativeMetrics(measures, network, timeout=self.comm.timeout)
            if path.suffix == ".npz":
                refuse_unsaid(exif=self.exif)
                _refuse_no_moments(metric, len(source))
            outcomes = self._add(metric.to(network.device), Roles(source, None))
        origin = _origin(data, source, outcomes.real, ReadResult())
        about = {"source": data, "left_out": origin.left_out, "unreadable": origin.unreadable, "warnings": said}
        about |= {"date": _now(), "ids": ids_of(source), **record_of(measures, source, data)}
        about |= record_of_exif(exif=self.exif)
        for name, file in files_of(metric, path).items():
            metric.save_reference(file, capacity=capacity, half=half, data=origin.data, about=about, on=name)
            self._say([] if name is None else [f"features of {name} are in {file}"])
        return origin, said

    def _sides(self, real: str, fake: str, are_pairs: bool) -> Roles[Source]:
        """Return the sources, or what is drawn of each; of pairs, the same ones of both."""
        window = self._window(real)
        sides = [refuse_untold(self._whole(text, window)) for text in (real, fake)]
        if are_pairs and window is not None:
            raise ValueError("--paired: expected images, got a network of clips. Remedy: --extractor of images.")
        if are_pairs:
            sides = aligned(*(_images(side, text) for side, text in zip(sides, (real, fake))), names=(real, fake))
        return Roles(*map(self._part, sides))

    def _window(self, real: str) -> Window | None:
        """Return which frames of a clip are looked at, of a network of clips; None of one of images, or of none."""
        return None if self.measures == NONE else self.network.window(self._measures(), find_reference(real))

    def _find(self, text: str, window: Window | None = None) -> Images | Reference:
        return self._part(refuse_untold(self._whole(text, window)))

    def _whole(self, text: str, window: Window | None = None) -> Images | Reference:
        source = find_source(text, window)
        if isinstance(source, Images) and source.left_out:
            self._say([f"{text}: {told(source.left_out)}"])
        return as_asked(source, text, exif=self.exif, of_clips=window is not None)

    def _part(self, source: Images | Reference) -> Images | Reference:
        if isinstance(source, Reference) or self.num_samples is None:
            return source
        return Part(source, self.num_samples, self.seed)

    def _saved(self, text: str, side: Source, plan: Plan) -> list[Reference]:
        """Return the references of a side, one of each network; none where it is images."""
        return with_others(side, Path(text), plan.scored) if isinstance(side, Reference) else []

    def _measures(self) -> list[Measure]:
        """Return the measures, with their errors where those are asked for."""
        return asked_for(measures_of(self.measures), errors=self.errors, per_prompt=self.per_prompt)

    def _plan(self, sides: Roles[Source]) -> Plan:
        measures = self._measures()
        if isinstance(sides.fake, Images):
            measures = with_count(measures, len(sides.fake))
        plan = Plan.of(measures, *map(_count, sides))
        plan.refuse_none()
        self._say(plan.lines)
        return plan

    def _check_headers(self, sides: Mapping[str, Source]) -> None:
        """Refuse images whose headers do not read, before work, and warn of what headers tell; collective."""
        images = {name: side for name, side in sides.items() if isinstance(side, Images)}
        lines = check_headers(images, self.comm, skip=self.reading.skip, shown=self.shows_progress)
        with suppress(Unreadable):  # which the reading will tell
            lines += filter(None, [told_range_warning(side, name) for name, side in images.items()])
        self._say(lines)
        for line in lines:
            warnings.warn(line, stacklevel=2)

    def _without_unreadable(self, sides: Roles[Source], plan: Plan) -> tuple[Roles[Source], ReadResult]:
        """Return the sides without generated images that do not read, where it matters how many do, and those."""
        source = sides.fake
        if not (self.reading.skip and needs_count(plan.scored) and isinstance(source, Images)):
            return sides, ReadResult()
        outcome = self._read(None, source, real=False, what="checking")
        skipped = {number for number, _, _ in outcome.unreadable}
        left = Chosen(source, [number for number in range(len(source)) if number not in skipped])
        return replace(sides, fake=left), outcome

    def _add(
        self, metric: GenerativeMetrics, sides: Roles[Source], saved: Sequence[Reference] = ()
    ) -> Roles[ReadResult | None]:
        """Add the sides to the metric, generated images that were ``saved`` too; return what became of the images."""
        self._merge(metric, saved)
        outcomes: list[ReadResult | None] = []
        takes = labelled(metric, *sides)
        for source, real in zip(sides, (True, False)):
            failed = not self.reading.skip and any(outcome and outcome.unreadable for outcome in outcomes)
            scored = None if failed else takes
            outcomes.append(self._read(scored, source, real=real) if isinstance(source, Images) else None)
        if not self.reading.skip:
            refuse_unreadable([outcome for outcome in outcomes if outcome], self.comm)
        return Roles(*outcomes)

    def _merge(self, metric: GenerativeMetrics, saved: Sequence[Reference]) -> None:
        """Add generated images that were saved: first, and on every rank, since it may be refused."""
        if saved:
            metric.merge_reference(saved)
            if self.comm.rank:
                metric.reset()

    def _read(self, metric: TakesImages | None, source: Images, *, real: bool, what: str = "") -> ReadResult:
        what = what or ("real" if real else "generated")
        shown = self.shows_progress and self.comm.rank == 0
        with reading_bar(what, len(source), shown=shown) as advance:
            outcome = self._decoded_or_cached(metric, source, real, advance)
        if self.reading.skip:
            self._say(f"left out: {name}: {why}" for _, name, why in outcome.unreadable)
        return outcome

    def _decoded_or_cached(
        self, metric: TakesImages | None, source: Images, real: bool, advance: Callable[[int], Any]
    ) -> ReadResult:
        read = partial(self.reading, images=source, real=real, comm=self.comm, advance=advance, tell=self.tell)
        extractor = self.network.named
        if metric is None or extractor is None or getattr(metric, "networks", ()):  # features of several have names
            return read(metric)
        side = CachedSide.of(self.cache, source, extractor, self.comm)
        if side is None:
            return read(metric)
        stored = side.stored()
        if stored is None:
            return recorded(side, metric, extractor, read, self.tell)
        whose = "real" if real else "generated"
        self._say([f"{whose}: features of {len(source)} images come from the cache. --no-cache makes them anew"])
        return side.give(stored, metric, real=real, batch_size=self.reading.batch_size, advance=advance)

    def _ids(self, side: Source) -> dict[str, str]:
        """Return what tells whether a side's samples are of the same seeds as another's."""
        if isinstance(side, Reference):
            known = side.about.get("ids")
            return {str(what): str(digest) for what, digest in known.items()} if isinstance(known, dict) else {}
        return {} if side is None else ids_of(side)

    def _add_pairs(
        self, suite: MetricSuite, pairs: Roles[Images], metric: GenerativeMetrics | None = None
    ) -> tuple[int, Roles[ReadResult]]:
        """Give the pairs to their metrics, and to the measures; return how many, and what became of the images."""
        shown = self.shows_progress and self.comm.rank == 0
        with reading_bar("pairs", len(pairs.real), shown=shown) as advance:
            takes = None if metric is None else labelled(metric, *pairs)
            count, outcomes = read_pairs(suite, pairs, self.comm, self.reading, advance, takes)
        if metric is not None or self.measures == NONE:  # else it has been said
            self._say(f"left out: {name}: {why}" for outcome in outcomes for _, name, why in outcome.unreadable)
        return count, outcomes

    def _say(self, lines: Iterable[str]) -> None:
        for line in lines if self.comm.rank == 0 else ():
            self.tell(line)


@dataclass(frozen=True)
class Comparison:
    """Comparison of two sources, done: what :meth:`Job.compare` returns.

    Args:
        metric: holds the samples; None where pairs alone are scored.
        values: what its ``compute`` returned.
        result: scores and where they came from.
        sides: the sources; image i is the sample with index i.
    """

    metric: GenerativeMetrics | None
    values: dict[str, Tensor]
    result: Result
    sides: Roles[Source]

    @property
    def images(self) -> Roles[Images | None]:
        """The sources that are images; None for a saved reference."""
        return Roles(*(side if isinstance(side, Images) else None for side in self.sides))


def _images(source: Images | Reference, text: str) -> Images:
    if isinstance(source, Reference):
        raise ValueError(f"{text}: expected images, for pairs, got a saved reference. Remedy: its images.")
    return source


def _count(source: Source, outcome: ReadResult | None = None) -> int:
    """Return how many samples a side has, or had once it was read."""
    if isinstance(source, Reference):
        return source.num_samples
    return len(source or ()) if outcome is None else outcome.read


def _origin(text: str, source: Source, outcome: ReadResult | None, skipped: ReadResult) -> Origin:
    if isinstance(source, Reference):
        return Origin.of_reference(source, text)
    assert source is not None
    assert outcome is not None
    unreadable = [(name, why) for _, name, why in sorted(skipped.unreadable + outcome.unreadable)]
    return Origin(text, outcome.read, unreadable, outcome.fingerprint, dict(source.left_out))


def _refuse_no_moments(metric: GenerativeMetrics, num_samples: int) -> None:
    kept = [slot.statistic for slot in metric._layout.slots["real"] if slot.network == 0]
    if not any(isinstance(statistic, Moments) and statistic.column == "pool" for statistic in kept):
        raise ValueError("An .npz holds mean and covariance. Remedy: --measures fid, or a path of another ending.")
    Side("real", num_samples, {}).require(2, "An .npz", "more images")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
