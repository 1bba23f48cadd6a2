"""Matches between generators and discriminators: counts of how discriminators judged samples, additive over shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

REAL = ""
"""The generator of real images."""


class Judged(NamedTuple):
    """Samples of one source as one discriminator judged them: how many, how many it called real, the sum of scores."""

    samples: int
    called_real: int
    score: float


class Meeting(NamedTuple):
    """Key of a table of matches: who made the samples (``""`` for real ones), who judged them, at which step."""

    generator: str
    discriminator: str
    step: int


class Matches:
    """Table of matches, filled from a stream of discriminators' scores; tables add up.

    A generated sample that is called real has fooled the discriminator (score ≥ ½); a real one is judged rightly above
    ½. Real samples belong to the discriminator alone, whatever generator it met.

    Args:
        logits: whether scores are log-odds, which the logistic function makes probabilities of.

    Example:
        >>> matches = Matches()
        >>> matches.update("g1", "d1", [0.75, 0.25, 0.25])
        >>> matches.update("", "d1", [0.8, 0.4], real=True)
        >>> matches.of("g1", "d1"), matches.real("d1").called_real
        (Judged(samples=3, called_real=1, score=1.25), 1)
    """

    def __init__(self, *, logits: bool = False) -> None:
        self.logits = logits
        self._judged: dict[Meeting, Judged] = {}

    def update(
        self, generator: str, discriminator: str, scores: ArrayLike, *, real: bool = False, step: int = 0
    ) -> None:
        """Add a batch of scores.

        Args:
            generator: who made the samples; not read where they are real.
            discriminator: whose scores they are.
            scores: ``(n,)``, the probability of being real, in [0, 1]; or its log-odds.
            real: whether the samples are real.
            step: of the training of the discriminator, for curves over it.

        Raises:
            ValueError: where a score is no probability, or a name is empty.
        """
        given = np.asarray(scores, dtype=np.float64).ravel()
        found = expit(given) if self.logits else given
        if not ((found >= 0) & (found <= 1)).all():  # nan is neither
            raise ValueError(_RANGE.format(generator, discriminator, given[~((found >= 0) & (found <= 1))][0]))
        called = found > 0.5 if real else found >= 0.5
        judged = Judged(len(found), int(called.sum()), float(found.sum()))
        self.add(REAL if real else generator, discriminator, judged, real=real, step=step)

    def add(self, generator: str, discriminator: str, judged: Judged, *, real: bool, step: int = 0) -> None:
        """Add counts; arguments and errors as of :meth:`update`."""
        if not discriminator or bool(generator) is real:
            raise ValueError(_NAMES.format(generator, discriminator, "real" if real else "generated"))
        key = Meeting(generator, discriminator, int(step))
        self._judged[key] = _sum(self._judged.get(key), judged)

    def __add__(self, other: Matches) -> Matches:
        """Return the table of both."""
        both = Matches(logits=self.logits)
        for table in (self, other):
            for meeting, judged in table:
                both._judged[meeting] = _sum(both._judged.get(meeting), judged)
        return both

    def __iter__(self) -> Iterator[tuple[Meeting, Judged]]:
        """Yield who met, and how it went, in the order in which they first did."""
        yield from self._judged.items()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matches) and self._judged == other._judged

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __len__(self) -> int:
        return len(self._judged)

    @property
    def generators(self) -> tuple[str, ...]:
        """The generators, in the order in which they first played."""
        return tuple(dict.fromkeys(meeting.generator for meeting in self._judged if meeting.generator))

    @property
    def discriminators(self) -> tuple[str, ...]:
        """The discriminators, in the order in which they first judged."""
        return tuple(dict.fromkeys(meeting.discriminator for meeting in self._judged))

    def of(self, generator: str, discriminator: str) -> Judged:
        """Return how a discriminator judged a generator's samples, over all steps; nothing where they never met."""
        return self.totals().get((generator, discriminator), Judged(0, 0, 0.0))

    def real(self, discriminator: str) -> Judged:
        """Return how a discriminator judged real samples, over all steps."""
        return self.of(REAL, discriminator)

    def met(self, generator: str) -> tuple[str, ...]:
        """Return the discriminators that a generator met."""
        return tuple(d for (g, d), judged in self.totals().items() if g == generator and judged.samples)

    def totals(self) -> dict[tuple[str, str], Judged]:
        """Return how each discriminator judged each generator's samples, and real ones (``""``), over all steps."""
        totals: dict[tuple[str, str], Judged] = {}
        for meeting, judged in self:
            pair = meeting.generator, meeting.discriminator
            totals[pair] = _sum(totals.get(pair), judged)
        return totals


def _sum(one: Judged | None, other: Judged) -> Judged:
    if one is None:
        return other
    return Judged(one.samples + other.samples, one.called_real + other.called_real, one.score + other.score)


_RANGE = (
    "Scores of {0!r} by {1!r}: expected probabilities in [0, 1], got {2}. Remedy: Matches(logits=True), or --logits, "
    "for log-odds; a critic without a probability is no rater of this kind."
)
_NAMES = (
    "Matches: expected a name of the discriminator, and of the generator where samples are generated, got {0!r} and "
    "{1!r} for {2} ones. Remedy: names that are not empty; none of a generator with real=True."
)
