"""Bradley–Terry strengths of conditions, from preferences or a matrix of wins, with Davidson's ties.

Bradley and Terry, Biometrika 1952; Davidson, JASA 1970; Davidson and Beaver, Biometrics 1977. Parity target: choix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

from streaming_metrics.arguments import check_flag, check_real
from streaming_metrics.ratings.clusters import clustered_covariance
from streaming_metrics.ratings.davidson import Games, chances
from streaming_metrics.ratings.estimate import Estimate
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.separation import fit_or_tell

if TYPE_CHECKING:
    from streaming_metrics.ratings.davidson import Array
    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.ratings.preference import WinMatrix


@dataclass(frozen=True, eq=False)
class Strengths:
    """Strengths of conditions, in log-odds: 0 is the mean of all, and a difference of 1.1 wins three of four.

    Args:
        names: of the conditions.
        parameters: ``(p,)``, strengths, the left place's advantage where it was estimated, log ν where there were ties.
        covariance: ``(p, p)`` of them.
        judgements: of each condition, ``(n,)``.
        raters: of each condition, ``(n,)``; 0 where none are known.
        freedom: degrees of freedom of intervals, inf for those of counts.
        has_sides: whether the left place's advantage was estimated.
        has_ties: whether ν was.
        prior: standard deviation of the Gaussian around 0 that strengths were given; None for none.
        confidence: of the intervals.
    """

    names: tuple[str, ...]
    parameters: Array
    covariance: Array
    judgements: tuple[int, ...]
    raters: tuple[int, ...]
    freedom: float
    has_sides: bool
    has_ties: bool
    prior: float | None = None
    confidence: float = 0.95

    @property
    def values(self) -> tuple[float, ...]:
        """The strengths, in the order of names; their sum is 0."""
        return tuple(self.parameters[: len(self.names)].tolist())

    @property
    def tie(self) -> float:
        """Davidson's ν: two of equal strength tie in ν / (2 + ν) of games; 0 where none were tied."""
        return float(np.exp(self.parameters[-1])) if self.has_ties else 0.0

    @property
    def order(self) -> tuple[str, ...]:
        """The names, the strongest first."""
        return tuple(self.names[place] for place in np.argsort(-np.array(self.values), kind="stable"))

    @property
    def side(self) -> Estimate | None:
        """The advantage of the left place, in log-odds; None where it was not estimated."""
        if not self.has_sides:
            return None
        return self._estimate(self._unit(len(self.names)), sum(self.judgements) // 2, max(self.raters))

    @property
    def left_share(self) -> Estimate | None:
        """The share of games that the left of two equals wins, ties one half: ½ is no bias; None as of :attr:`side`."""
        if not self.has_sides:
            return None
        return self._share(self._unit(len(self.names)), sum(self.judgements) // 2, max(self.raters))

    def estimates(self) -> dict[str, Estimate]:
        """Return the strengths with their intervals."""
        counted = zip(self.names, self.judgements, self.raters)
        return {name: self._estimate(self._unit(place), n, m) for place, (name, n, m) in enumerate(counted)}

    def difference(self, a: str, b: str) -> Estimate:
        """Return how much stronger a is than b, in log-odds; what is shared of their uncertainty cancels."""
        return self._estimate(self._contrast(a, b), *self._counts(a, b))

    def probability(self, a: str, b: str) -> Estimate:
        """Return the share of games that a wins against b, ties one half, with no advantage of a place; in (0, 1)."""
        return self._share(self._contrast(a, b), *self._counts(a, b))

    def _contrast(self, a: str, b: str) -> Array:
        for name in (a, b):
            if name not in self.names:
                raise ValueError(f"Expected one of {', '.join(self.names)}, got {name!r}.")
        return self._unit(self.names.index(a)) - self._unit(self.names.index(b))

    def _counts(self, a: str, b: str) -> tuple[int, int]:
        one, other = self.names.index(a), self.names.index(b)
        return min(self.judgements[one], self.judgements[other]), min(self.raters[one], self.raters[other])

    def _unit(self, place: int) -> Array:
        return np.eye(len(self.parameters))[place]

    def _estimate(self, direction: Array, judgements: int, raters: int) -> Estimate:
        value, half = float(direction @ self.parameters), self._half(direction)
        return Estimate(value, value - half, value + half, judgements, raters, self.confidence)

    def _share(self, direction: Array, judgements: int, raters: int) -> Estimate:
        """Return the share that log-odds win, with the interval of its own log-odds: ν is uncertain too."""
        odds, log_tie = np.array(direction @ self.parameters), self.parameters[-1] if self.has_ties else None
        won, tied, lost = (float(chance) for chance in chances(odds, log_tie))
        lean = (won - lost) / 2
        slope = direction * ((won + lost) / 4 - lean**2)
        if self.has_ties:
            slope[-1] -= tied * lean
        share = won + tied / 2
        half = self._half(slope / (share * (1 - share)))
        low, high = (float(expit(logit(share) + reach)) for reach in (-half, half))
        return Estimate(share, low, high, judgements, raters, self.confidence)

    def _half(self, direction: Array) -> float:
        """Return half the width of the interval along a direction; nan where it cannot be told."""
        if self.freedom < 1:
            return float("nan")
        law = norm.ppf if np.isinf(self.freedom) else lambda p: student.ppf(p, self.freedom)
        return float(law((1 + self.confidence) / 2) * np.sqrt(direction @ self.covariance @ direction))


def bradley_terry(
    games: Judgements | WinMatrix, *, prior: float | None = None, sides: bool = True, confidence: float = 0.95
) -> Strengths:
    """Return strengths of conditions by maximum likelihood, with intervals.

    ``P(a wins) = e^{η/2} / Z``, ``P(tie) = ν / Z``, ``P(b wins) = e^{−η/2} / Z`` with ``η = s_a − s_b`` plus, for who
    stands left, the advantage of that place: Davidson's and Beaver's model, whose γ is ``e^{−side}`` and whose ν is
    ours times ``√γ``; without ties Bradley's and Terry's. The likelihood is concave, and knows no order of judgements.
    Where judgements are given the covariance is a sandwich that knows that raters and prompts (or else images)
    repeat, and intervals are Student's; of bare counts it is the inverse Fisher information, as if every game were
    independent, and intervals are the normal law's.

    Args:
        games: judgements, of which preferences are read and attention checks are not; or counts of wins and ties.
        prior: standard deviation in log-odds of a Gaussian around 0, of strengths and the place's advantage; needed
            where the likelihood has no maximum, and named in the result. 3.0 hardly moves what games tell, and where
            they tell nothing the interval is as wide as the prior.
        sides: whether the left place's advantage is estimated; a matrix knows no places.
        confidence: of the intervals.

    Raises:
        ValueError: where there are no preferences; where a condition won or lost all, or none connect two groups of
            them, so that the likeliest strengths are infinite or unknown: it names them.

    Example:
        >>> from streaming_metrics.ratings.judgement import Judgement
        >>> shown = {"items": ("a/0", "b/0"), "conditions": ("a", "b"), "when": "", "prompt": "a cat"}
        >>> answers = [1.0, 1.0, 1.0, 0.0] * 2
        >>> rows = [Judgement("s", "t", "preference", f"{k % 3}", k, answer=x, **shown) for k, x in enumerate(answers)]
        >>> found = bradley_terry(Judgements(rows), sides=False)
        >>> found.order, round(found.probability("a", "b").value, 3)
        (('a', 'b'), 0.75)
    """
    check_flag("sides", sides)
    if prior is not None:
        check_real("prior", prior, above=0)
    if isinstance(games, Judgements):
        return _of_judgements(games, prior, sides, confidence)
    return _of_counts(games, prior, confidence)


def _of_judgements(judgements: Judgements, prior: float | None, sides: bool, confidence: float) -> Strengths:
    rows = list(judgements.where(kind="preference", checks=False))
    if not rows:
        raise ValueError(_NO_GAMES.format("judgements without any but attention checks"))
    names = tuple(sorted({name for row in rows for name in row.conditions}))
    games = _games(rows, names, sides)
    fitted = fit_or_tell(games, names, prior)
    raters, units = [row.rater for row in rows], [row.units for row in rows]
    return Strengths(
        names,
        fitted.parameters,
        clustered_covariance(fitted.influence(games), raters, units) + fitted.of_prior,
        tuple(sum(name in row.conditions for row in rows) for name in names),
        tuple(len({row.rater for row in rows if name in row.conditions}) for name in names),
        _freedom(rows, names),
        games.sided,
        games.tied,
        prior,
        confidence,
    )


def _of_counts(matrix: WinMatrix, prior: float | None, confidence: float) -> Strengths:
    wins, ties = np.asarray(matrix.wins, dtype=np.float64), np.asarray(matrix.ties, dtype=np.float64)
    first, second = np.triu_indices(len(matrix.names), 1)
    outcomes = np.stack([wins[first, second], ties[first, second], wins[second, first]], 1)
    met = outcomes.any(1)
    if not met.any():
        raise ValueError(_NO_GAMES.format("a matrix of zeros"))
    games = Games(len(matrix.names), first[met], second[met], outcomes[met])
    fitted = fit_or_tell(games, matrix.names, prior)
    played = wins + wins.T + ties
    counts = tuple(int(n) for n in played.sum(1))
    return Strengths(
        tuple(matrix.names),
        fitted.parameters,
        fitted.inverse,
        counts,
        (0,) * len(counts),
        np.inf,
        games.sided,
        games.tied,
        prior,
        confidence,
    )


def _games(rows: list[Judgement], names: tuple[str, ...], sides: bool) -> Games:
    place = {name: number for number, name in enumerate(names)}
    left, right = (np.array([place[row.conditions[side]] for row in rows]) for side in (0, 1))
    outcomes = np.eye(3)[[round(2 * (1 - row.answer)) for row in rows]]
    return Games(len(names), left, right, outcomes, sides)


def _freedom(rows: list[Judgement], names: tuple[str, ...]) -> int:
    """Return one less than the fewest raters, or prompts or images of a condition."""
    seen: dict[str, set[str]] = {name: set() for name in names}
    for row in rows:
        for name, item in zip(row.conditions, row.items):
            seen[name].add(row.prompt or item)
    return min(len({row.rater for row in rows}), *map(len, seen.values())) - 1


_NO_GAMES = "Strengths: expected preferences, got {}. Remedy: a study with kind = 'preference', and its judgements."
