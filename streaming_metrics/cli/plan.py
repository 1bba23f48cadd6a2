"""Plan of a run: which measures it scores, told by the numbers of samples alone, before an image is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streaming_metrics.features import Spec
from streaming_metrics.measures import IS
from streaming_metrics.measures.base import NotEnoughSamples, Side, Sides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.measures import Measure


class _Counted(dict[str, Side]):
    """Sides by role, known by their counts alone; a role that there is none of is empty, and not gone over."""

    def __missing__(self, role: str) -> Side:
        return Side(role, 0, {})


@dataclass(frozen=True)
class Plan:
    """Plan of a run: what can be scored, and what cannot.

    Args:
        scored: measures that have enough samples.
        unscored: the others as a signature names them, and why.

    Example:
        >>> from streaming_metrics import FID, KID
        >>> Plan.of([FID(), KID()], real=60, fake=60).lines  # doctest: +ELLIPSIS
        ['not scored: kid: KID needs at least 1000 real samples, got 60. Remedy: ...']
    """

    scored: list[Measure]
    unscored: Mapping[str, str]

    @classmethod
    def of(cls, measures: Sequence[Measure], real: int, fake: int, **others: int) -> Plan:
        """Return the plan for so many samples of each role; a measure's own check decides."""
        counts = {"real": real, "fake": fake, **others}
        sides = Sides(_Counted({role: Side(role, count, {}) for role, count in counts.items()}), Spec())
        scored, unscored = [], {}
        for measure in measures:
            try:
                measure.check(sides)
                scored.append(measure)
            except NotEnoughSamples as error:
                unscored[measure.describe()] = str(error)
        return cls(scored, unscored)

    @property
    def lines(self) -> list[str]:
        """What is not scored, and why."""
        return [f"not scored: {measure}: {why}" for measure, why in self.unscored.items()]

    def refuse_none(self) -> None:
        """Raise NotEnoughSamples where no measure has enough."""
        if not self.scored:
            raise NotEnoughSamples("\n".join(self.lines))

    def refuse_some(self) -> None:
        """Raise NotEnoughSamples where any measure has too few."""
        if self.unscored:
            raise NotEnoughSamples("\n".join(self.lines))


def with_count(measures: Sequence[Measure], fake: int) -> list[Measure]:
    """Return measures that know how many generated samples come: IS shuffles them, as torch-fidelity does.

    Raises:
        ValueError: where IS is told another number.

    Example:
        >>> [measure.describe() for measure in with_count([IS(splits=5), IS(assignment="interleaved")], 100)]
        ['is(splits=5,num_samples=100)', 'is(assignment=interleaved)']
    """
    return [_with_count(measure, fake) if isinstance(measure, IS) else measure for measure in measures]


def needs_count(measures: Sequence[Measure]) -> bool:
    """Return whether :func:`with_count` tells one of them the number."""
    return any(isinstance(measure, IS) and measure.assignment != "interleaved" for measure in measures)


def _with_count(measure: IS, fake: int) -> IS:
    if measure.num_samples is not None and measure.num_samples < fake:
        raise ValueError(
            f"{measure.describe()}: expected {measure.num_samples} generated images, got {fake}. "
            f"Remedy: leave num_samples out, or --num-samples {measure.num_samples}."
        )
    is_told = measure.num_samples is not None or measure.assignment is not None
    return measure if is_told or not fake else replace(measure, num_samples=fake)
