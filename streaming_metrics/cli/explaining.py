"""Explaining: the doctor's job without the command line, from sources to what it says of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.reading import ReadResult, refuse_unreadable
from streaming_metrics.cli.scoring import Job, _now, _origin
from streaming_metrics.doctor.examination import Draws, Examination
from streaming_metrics.doctor.explanation import Asked, explained, facts_of
from streaming_metrics.doctor.protocols import Situation
from streaming_metrics.doctor.quantise import FloatImages, with_floats
from streaming_metrics.extractors.inception import InceptionV3
from streaming_metrics.files.reference import Reference
from streaming_metrics.images import Images
from streaming_metrics.measures.base import NotEnoughSamples
from streaming_metrics.measures.registry import measures_of
from streaming_metrics.report.recorded_warnings import recorded_warnings
from streaming_metrics.statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.doctor.protocols import Protocol
    from streaming_metrics.doctor.settings import Rounding
    from streaming_metrics.extractors.base import Extractor

RULES: tuple[Rounding, ...] = ("rounded", "truncated")
SHARD = re.compile(r"\d{5,}")
"""Names of folders that hold so many images each, and no class."""
FEWEST = 4
"""Images of a side, half of which have a covariance."""


@dataclass(frozen=True)
class Explaining(Job):
    """Job of the doctor.

    Args:
        asked: which protocols to go between, and a claim.
        reference: file of a saved reference beside the real images; None for none.
        value_range: of float images; None takes 8 bits alone.
    """

    asked: Asked = field(default_factory=Asked)
    reference_file: str | None = None
    value_range: tuple[float, float] | None = None

    def explain(self, real: str, fake: str) -> dict[str, Any]:
        """Return what the doctor says of two sources of images, as JSON holds it; collective.

        Raises:
            NotEnoughSamples: before an image is read, where there are too few for any covariance.
            ValueError: where a side is no images, or a name or a file is not as expected.
            Unreadable: naming all images that do not read.
        """
        with recorded_warnings() as said:
            reals, fakes = self._source(real, RULES[:1]), self._source(fake, RULES)
            _refuse_few(real=len(reals), generated=len(fakes))
            saved = None if self.reference_file is None else Reference.load(self.reference_file)
            network = self.network.load(measures_of("fid"), saved)
            if network.takes != "images":
                raise ValueError(f"explain: expected a network of images, got {network.name}. Remedy: compare.")
            situation = self._situation(network, fakes, saved)
            protocols = situation.protocols()
            self.asked.check(protocols)
            seen = self._examination(network, protocols, fakes)
            seen.file = None if saved is None else _checked(saved, network)
            outcomes = [self._read(seen, source, real=is_real) for source, is_real in ((reals, True), (fakes, False))]
            if not self.reading.skip:
                refuse_unreadable(outcomes, self.comm)
            _refuse_few(real=outcomes[0].read, generated=outcomes[1].read)
            facts = facts_of(seen, protocols, classes_of(reals), classes_of(fakes))
            found = explained(seen, protocols, facts, self.asked)
        sides = {"real": _described(real, reals, outcomes[0]), "fake": _described(fake, fakes, outcomes[1])}
        return {**found, "notes": situation.notes(), "warnings": said, **sides, "date": _now()}

    def _source(self, text: str, rules: Sequence[Rounding]) -> Images:
        source = self._whole(text)
        if isinstance(source, Reference):
            raise ValueError(
                f"{text}: expected images, got a saved reference, which has none to look at. Remedy: its images, and "
                "--reference for the file."
            )
        part = self._part(with_floats(source, self.value_range, rules))
        assert isinstance(part, Images)
        return part

    def _situation(self, network: Extractor, fakes: Images, saved: Reference | None) -> Situation:
        return Situation(
            network.name,
            len(fakes),
            has_floats=_has_floats(fakes),
            has_file=saved is not None,
            has_tf32=network.device.type == "cuda",
        )

    def _examination(self, network: Extractor, protocols: Sequence[Protocol], fakes: Images) -> Examination:
        needed = dict.fromkeys((p.setting.resize, p.setting.precision) for p in protocols)
        networks = {key: _behind(network, *key, weights=self.network.weights) for key in needed}
        parts = tuple(sorted({p.setting.num_samples for p in protocols if p.setting.num_samples is not None}))
        rules = RULES if _has_floats(fakes) else RULES[:1]
        seen = Examination(networks, Draws(len(fakes), parts, self.seed), rules, self.comm.timeout)
        for metric in seen.metrics:
            metric.to(network.device)
        return seen


def _behind(network: Extractor, resize: str, precision: str, weights: str | None) -> Extractor:
    """Return a network behind a named resize, in a precision: weights are shared where that is the same."""
    if precision != network.precision and isinstance(network, InceptionV3):
        return InceptionV3(weights, resize=resize, precision=precision).to(network.device)
    make = getattr(network, "with_resize", None)
    return network if make is None or not resize else make(resize)


def classes_of(images: Images) -> dict[str, int]:
    """Return how many images lie in each of the first folders below a source; none where these are no classes."""
    paths = [images.path_below(place) for place in range(len(images))]
    names = Counter(path.split("/")[0] for path in paths if path and "/" in path)
    is_all = sum(names.values()) == len(images) and len(names) > 1
    return dict(names) if is_all and not all(map(SHARD.fullmatch, names)) else {}


def _has_floats(images: Images) -> bool:
    return isinstance(getattr(images, "whole", images), FloatImages)


def _refuse_few(**counts: int) -> None:
    few = {name: count for name, count in counts.items() if count < FEWEST}
    if few:
        told = " and ".join(f"{count} {name}" for name, count in few.items())
        raise NotEnoughSamples(
            f"explain needs at least {FEWEST} images of each side, got {told}. Remedy: more of them."
        )


def _checked(saved: Reference, network: Extractor) -> Reference:
    """Return a saved reference; raise ValueError where its features are another network's; any resize may be theirs."""
    width = network.spec.num_features or 0
    saved.state_of(Moments(width))
    record = saved.about.get("extractor", {})
    if record.get("weights_id") not in (None, network.weights_id) or record.get("name") not in (None, network.name):
        raise ValueError(
            f"--reference: expected features of {network.label}, got those of {record.get('name')}-"
            f"{record.get('weights_id')}. Remedy: --extractor and --weights of that network."
        )
    return saved


def _described(text: str, source: Images, outcome: ReadResult) -> dict[str, Any]:
    return asdict(_origin(text, source, outcome, ReadResult()))
