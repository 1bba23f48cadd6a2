"""What the command line does, without the command line: sources in, scores or a reference out."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from streaming_metrics.cli.reading import Reading, Tally
from streaming_metrics.cli.results import Origin, Result
from streaming_metrics.cli.terminal import reading_bar
from streaming_metrics.generative import GenerativeMetrics
from streaming_metrics.measures.base import Roles
from streaming_metrics.measures.named import measures_of
from streaming_metrics.moments_file import UNKNOWN
from streaming_metrics.reference import Reference
from streaming_metrics.sources import Images, Part, find_source, imported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from streaming_metrics.comm import Comm

DEFAULT_EXTRACTOR = "inception-v3"
RESIZABLE = "inception-v3"


@dataclass(frozen=True)
class Network:
    """Which extractor runs where.

    Args:
        extractor: a name, or ``package.module:name`` of an ``nn.Module`` or of a function that makes one; None takes
            the one that a saved reference was made with, else the reference Inception.
        weights, resize, precision: its options; None takes those of a saved reference, else the extractor's own.
        device: None takes CUDA where there is one.
    """

    extractor: str | None = None
    weights: str | None = None
    resize: str | None = None
    precision: str | None = None
    device: str | None = None

    def metric(self, measures: str, reference: Reference | None, timeout: float) -> GenerativeMetrics:
        """Return a metric on the device; ``reference`` is its real side."""
        extractor, options = self._resolved(reference)
        metric = GenerativeMetrics(measures_of(measures), extractor, reference=reference, timeout=timeout, **options)
        return metric.to(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def _resolved(self, reference: Reference | None) -> tuple[str | nn.Module, dict[str, Any]]:
        """Return the extractor and its options: those that were asked for, else those that made the reference."""
        asked = {"weights": self.weights, "resize": self.resize, "precision": self.precision}
        if self.extractor is not None and ":" in self.extractor:
            found = imported(self.extractor)
            return found if isinstance(found, nn.Module) else found(), asked
        record = {} if reference is None else reference.about.get("extractor", {})
        name = self.extractor or record.get("name", DEFAULT_EXTRACTOR)
        if name == record.get("name"):
            asked["precision"] = self.precision or record["precision"]
            if name == RESIZABLE:
                asked["resize"] = self.resize or record["resize"].rpartition("-")[0]
        return name, asked


@dataclass(frozen=True)
class Job:
    """One run over all ranks.

    Args:
        network: the extractor.
        measures: their names; see :func:`measures_of`.
        reading: how images are read.
        comm: the ranks.
        num_samples: how many of each source's images to take, at random; None takes all.
        seed: of that draw.
    """

    network: Network
    measures: str
    comm: Comm
    reading: Reading = field(default_factory=Reading)
    num_samples: int | None = None
    seed: int = 0

    def compare(self, real: str, fake: str) -> Comparison:
        """Return the scores of two sources; collective."""
        with recorded_warnings() as said:
            sides = Roles(self._find(real), self._find(fake))
            known = sides.real if isinstance(sides.real, Reference) else None
            metric = self.network.metric(self.measures, known, self.comm.timeout)
            real_origin = self._add(metric, sides.real, real, real=True)
            fake_origin = self._add(metric, sides.fake, fake, real=False)
            values = metric.compute()
        scores = {key: value.item() for key, value in values.items()}
        return Comparison(metric, values, Result(scores, metric.signature(), real_origin, fake_origin, said), sides)

    def reference(self, data: str, path: Path, capacity: int | None = None, half: bool = False) -> Origin:
        """Write a source as a reference, by rank 0; collective."""
        source = self._find(data)
        if isinstance(source, Reference):
            raise ValueError(f"{data}: expected images, got a saved reference. Remedy: copy it, or give its images.")
        metric = self.network.metric(self.measures, None, self.comm.timeout)
        origin = self._add(metric, source, data, real=True)
        metric.save_reference(path, capacity=capacity, half=half, data=origin.data)
        return origin

    def _find(self, text: str) -> Images | Reference:
        source = find_source(text)
        if self.num_samples is None or isinstance(source, Reference):
            return source
        return Part(source, self.num_samples, self.seed)

    def _add(self, metric: GenerativeMetrics, source: Images | Reference, text: str, *, real: bool) -> Origin:
        if isinstance(source, Reference):
            if not real and self.comm.rank == 0:
                metric.merge_reference(source)
            return _origin_of(source, text)
        with reading_bar("real" if real else "generated", len(source), shown=self.comm.rank == 0) as advance:
            tally = self.reading(metric, source, real=real, comm=self.comm, advance=advance)
        return _origin_read(tally, text)


@dataclass(frozen=True)
class Comparison:
    """What came of :meth:`Job.compare`.

    Args:
        metric: holds the samples.
        values: what its ``compute`` returned.
        result: scores and where they came from.
        sides: the sources; image i is the sample with index i.
    """

    metric: GenerativeMetrics
    values: dict[str, Tensor]
    result: Result
    sides: Roles[Images | Reference]

    @property
    def images(self) -> Roles[Images | None]:
        """The sources that are images; None for a saved reference."""
        return Roles(*(None if isinstance(side, Reference) else side for side in self.sides))


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """Yield a list that holds, on the way out, what was warned of, each once."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    said += dict.fromkeys(str(warning.message) for warning in caught if issubclass(warning.category, UserWarning))


def _origin_of(reference: Reference, text: str) -> Origin:
    n = reference.num_samples
    return Origin(text, None if n >= UNKNOWN else n, [], reference.about.get("data"))


def _origin_read(tally: Tally, text: str) -> Origin:
    return Origin(text, tally.read, tally.unreadable, tally.fingerprint)
