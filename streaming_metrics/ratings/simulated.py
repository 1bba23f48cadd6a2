"""Simulated raters: a population of known bias and noise, to test statistics on and to show a study without people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming_metrics.ratings.judgement import Judgement
from streaming_metrics.ratings.judgements import Judgements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class SimulatedRater:
    """Simulated rater: no person. Answers by the qualities of what is shown, and what makes raters differ.

    Args:
        rng: where its noise is drawn from.
        leniency: what it adds to every score.
        noise: spread of what it sees of a quality.
        side: log-odds that it adds to the left image.
        criterion: how good an image must be to be called real.
        indecision: below which difference of qualities it calls a tie, where ties are allowed.
        lapses: share of its answers that are at random.
        is_attentive: False answers at random, and fast, always.

    Example:
        >>> rater = SimulatedRater(np.random.default_rng(0), lapses=0.0)
        >>> [rater.answer("preference", [9.0, 0.0]), rater.answer("opinion", [9.0]), rater.answer("opinion", [-9.0])]
        [1.0, 5.0, 1.0]
    """

    rng: np.random.Generator
    leniency: float = 0.0
    noise: float = 0.7
    side: float = 0.0
    criterion: float = 0.0
    indecision: float = 0.3
    lapses: float = 0.02
    is_attentive: bool = True

    def answer(
        self,
        kind: str,
        qualities: Sequence[float],
        *,
        scale: int = 5,
        ties: bool = False,
        exposure_ms: float | None = None,
    ) -> float:
        """Return the answer to a trial.

        Args:
            kind: of the trial.
            qualities: of the images from left to right, in standard deviations; 0 is middling, real ones may be +1.
            scale: the highest score.
            ties: whether a preference may be a tie.
            exposure_ms: a shorter one is seen less well: evidence grows as ``1 − exp(−ms / 100)``.
        """
        if not self.is_attentive or self.rng.random() < self.lapses:
            return self._at_random(kind, scale, ties)
        clear = 1.0 if exposure_ms is None else 1 - float(np.exp(-exposure_ms / 100))
        seen = [clear * quality + self.noise * self.rng.normal() for quality in qualities]
        if kind == "preference":
            ahead = seen[0] - seen[1] + self.side
            return 0.5 if ties and abs(ahead) < self.indecision else float(ahead > 0)
        if kind == "categorisation":
            return float(seen[0] > self.criterion)
        middle = (1 + scale) / 2
        return float(np.clip(round(middle + seen[0] * (scale - 1) / 4 + self.leniency), 1, scale))

    def reaction_ms(self) -> float:
        """Return how long it takes: log-normal around 1.2 s, and around 0.15 s where it does not look."""
        return float(np.exp(self.rng.normal(np.log(1200 if self.is_attentive else 150), 0.35)))

    def _at_random(self, kind: str, scale: int, ties: bool) -> float:
        choices = {"preference": [0.0, 0.5, 1.0] if ties else [0.0, 1.0], "categorisation": [0.0, 1.0]}
        return float(self.rng.choice(choices.get(kind, [float(one) for one in range(1, scale + 1)])))


@dataclass(frozen=True)
class SimulatedRaters:
    """Population of simulated raters, the same for a seed.

    Args:
        count: how many.
        inattentive: how many of them, the last ones, do not look.
        seed: of all they draw.
        spreads: standard deviations of leniency, side and criterion over raters.
        noise: of every rater.
    """

    count: int = 20
    inattentive: int = 0
    seed: int = 0
    spreads: Mapping[str, float] = field(default_factory=lambda: {"leniency": 0.4, "side": 0.2, "criterion": 0.3})
    noise: float = 0.7

    def make(self) -> list[SimulatedRater]:
        """Return the raters."""
        seeds = np.random.SeedSequence(self.seed).spawn(self.count)
        made = []
        for number, seed in enumerate(seeds):
            rng = np.random.default_rng(seed)
            traits: dict[str, Any] = {name: float(rng.normal(0, spread)) for name, spread in self.spreads.items()}
            attentive = number < self.count - self.inattentive
            made.append(SimulatedRater(rng, **traits, noise=self.noise, is_attentive=attentive))
        return made

    def judge(
        self,
        kind: str,
        qualities: Mapping[str, float],
        *,
        per_rater: int = 20,
        units: int = 20,
        unit_spread: float = 0.3,
        real: str | None = None,
        exposures_ms: Sequence[float | None] = (None,),
        ties: bool = False,
        checks: int = 0,
        categories: Sequence[str] = (),
        study: str = "simulated-00000000",
        task: str | None = None,
    ) -> Judgements:
        """Return what they say of conditions of known quality.

        Args:
            kind: of the task.
            qualities: of the conditions, the real one among them for a categorisation.
            per_rater: trials of each rater.
            units: images, or prompts, of each condition.
            unit_spread: standard deviation of what a unit adds to every condition's quality.
            real: the condition that is real; half of a categorisation's trials show it.
            exposures_ms: of a categorisation.
            ties: whether preferences may be ties.
            checks: attention checks of each rater, a good image against noise.
            categories: of prompts, in turn; with them units are prompts.
            study, task: names; a task is called as its kind by default.
        """
        design = np.random.default_rng([self.seed, per_rater, units, len(qualities)])
        added = design.normal(0, unit_spread, units)
        rows = []
        for number, rater in enumerate(self.make()):
            for trial in range(per_rater + checks):
                unit, is_check = int(design.integers(units)), trial >= per_rater
                names = _shown(kind, [*qualities], real, design)
                values = [qualities[name] + added[unit] for name in names]
                time = None if kind != "categorisation" else exposures_ms[int(design.integers(len(exposures_ms)))]
                expected = None
                if is_check:
                    names, values = ("noise",) * len(names), [-6.0] * len(names)
                    expected = {"preference": 1.0, "categorisation": 0.0}.get(kind, 1.0)
                    values[0] = 6.0 if kind == "preference" else -6.0
                answer = rater.answer(kind, values, ties=ties, exposure_ms=time)
                prompt = f"prompt {unit}" if categories and not is_check else ""
                rows.append(
                    Judgement(
                        study=study,
                        task=task or kind,
                        kind=kind,
                        rater=f"simulated-{number:03d}",
                        trial=trial,
                        items=tuple(f"{name}/{unit}" for name in names),
                        conditions=tuple(names),
                        answer=answer,
                        when="2026-01-01T00:00:00+00:00",
                        prompt=prompt,
                        category=categories[unit % len(categories)] if prompt else "",
                        truth=float(names[0] == real) if kind == "categorisation" else None,
                        expected=expected,
                        reaction_ms=rater.reaction_ms(),
                        exposure_ms=time,
                        shown_ms=time,
                    )
                )
        return Judgements(rows)


def _shown(kind: str, names: list[str], real: str | None, rng: np.random.Generator) -> tuple[str, ...]:
    if kind == "preference":
        return tuple(str(name) for name in rng.choice(names, 2, replace=False))
    if kind == "categorisation" and real is not None and rng.random() < 0.5:
        return (real,)
    return (str(rng.choice([name for name in names if kind != "categorisation" or name != real])),)
