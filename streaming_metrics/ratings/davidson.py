"""Davidson's model of paired comparisons, by maximum likelihood: strengths, ties, the advantage of the first place.

Davidson, JASA 1970, with the order effect of Davidson and Beaver, Biometrics 1977; Bradley and Terry, Biometrika 1952
where there are no ties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.float64]"

STEPS = 60
"""Newton steps at most; ten are usual."""
HALVINGS = 40
ACCURACY = 1e-9
"""Length of a step at which the maximum is reached; where there is none steps do not shrink, as gradients do."""
FARTHEST = 25.0
"""Log-odds at which a chance is 1 but for rounding: no games tell such strengths."""
WORST = 1e14
"""Condition of the information beyond which it has no inverse."""


class NoMaximum(RuntimeError):
    """No finite strengths are the likeliest."""


@dataclass(frozen=True)
class Games:
    """Games between players, by number: in each row how often the first won, the two tied, and the second won.

    Args:
        players: how many there are.
        first: ``(m,)`` int, who stood first (left).
        second: ``(m,)`` int, who stood second.
        outcomes: ``(m, 3)``, first won, tied, second won.
        sided: whether standing first may be an advantage, which is then estimated.
    """

    players: int
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    outcomes: Array
    sided: bool = False

    @property
    def tied(self) -> bool:
        """Whether any game was tied, so that how common ties are is estimated."""
        return bool(self.outcomes[:, 1].any())

    @property
    def design(self) -> tuple[Array, Array]:
        """Return what a unit of each parameter adds to a game's log-odds, ``(m, p)``, and to ties, ``(p,)``.

        The parameters are the players' strengths, the first place's advantage where it is estimated, and log ν where
        there are ties.
        """
        rows = np.arange(len(self.first))
        odds = np.zeros((len(rows), self.players + self.sided + self.tied))
        odds[rows, self.first], odds[rows, self.second] = 1.0, -1.0
        odds[:, self.players : self.players + self.sided] = 1.0
        ties = np.zeros(odds.shape[1])
        ties[self.players + self.sided :] = 1.0
        return odds, ties

    def summed(self) -> Games:
        """Return the same games with a row for each two players and their order."""
        key, place = np.unique(self.first * self.players + self.second, return_inverse=True)
        outcomes = np.zeros((len(key), 3))
        np.add.at(outcomes, place, self.outcomes)
        return Games(self.players, key // self.players, key % self.players, outcomes, self.sided)


@dataclass(frozen=True)
class Fit:
    """Fit of Davidson's model to games: the parameters at the maximum, and how sharp it is.

    Args:
        parameters: ``(p,)``, in the order of :attr:`Games.design`; strengths sum to zero.
        inverse: ``(p, p)``, of the information, a prior's included; 0 along what is not identified.
        penalty: ``(p,)``, the information of the prior; zeros where there is none.
    """

    parameters: Array
    inverse: Array
    penalty: Array

    @property
    def of_prior(self) -> Array:
        """The covariance ``(p, p)`` that is the prior's own: without it what games do not tell would look certain."""
        return self.inverse @ (self.penalty[:, None] * self.inverse)

    def influence(self, games: Games) -> Array:
        """Return what each row of games adds to the parameters, ``(m, p)``; columns sum to zero but for a prior."""
        return scores(games, self.parameters) @ self.inverse


def chances(log_odds: Array, log_tie: float | None) -> tuple[Array, Array, Array]:
    """Return the chances that the first wins, that it is a tie, and that the second wins.

    ``e^{η/2} / Z``, ``ν / Z``, ``e^{−η/2} / Z``: with ν = 0 (``log_tie`` None) the logistic function of ``η``.
    """
    tie = -np.inf if log_tie is None else log_tie
    logs = np.stack([log_odds / 2, np.full_like(log_odds, tie), -log_odds / 2])
    weights = np.exp(logs - logs.max(0))
    won, tied, lost = weights / weights.sum(0)
    return won, tied, lost


def scores(games: Games, parameters: Array) -> Array:
    """Return each row's gradient of the log-likelihood, ``(m, p)``."""
    odds, ties = games.design
    won, tied, lost = chances(odds @ parameters, _log_tie(games, parameters))
    n = games.outcomes.sum(1)
    of_odds = (games.outcomes[:, 0] - games.outcomes[:, 2] - n * (won - lost)) / 2
    return odds * of_odds[:, None] + ties * (games.outcomes[:, 1] - n * tied)[:, None]


def information(games: Games, parameters: Array) -> Array:
    """Return the Fisher information ``(p, p)``; observed and expected are the same."""
    odds, ties = games.design
    won, tied, lost = chances(odds @ parameters, _log_tie(games, parameters))
    n, lean = games.outcomes.sum(1), (won - lost) / 2
    both = odds.T @ (-n * tied * lean)
    of_odds = odds.T @ (odds * (n * ((won + lost) / 4 - lean**2))[:, None])
    return of_odds + np.outer(both, ties) + np.outer(ties, both) + np.outer(ties, ties) * (n * tied * (1 - tied)).sum()


def log_likelihood(games: Games, parameters: Array) -> float:
    """Return the log-likelihood of games."""
    odds, _ = games.design
    found = np.stack(chances(odds @ parameters, _log_tie(games, parameters)), 1)
    seen = games.outcomes > 0
    return float((games.outcomes[seen] * np.log(np.maximum(found[seen], 1e-300))).sum())


def fit(games: Games, prior: float | None = None) -> Fit:
    """Return the maximum of the likelihood, by Newton's method with halved steps: the likelihood is concave.

    Args:
        games: that have a maximum, or a prior: see :func:`~streaming_metrics.ratings.separation.refuse_separated`.
        prior: standard deviation of a Gaussian around 0, in log-odds, of strengths and the first place's advantage.

    Raises:
        NoMaximum: where there is none.
    """
    games = games.summed()
    penalty, anchor = _penalty(games, prior), _anchor(games)
    parameters, value = np.zeros(len(penalty)), -np.inf
    for _ in range(STEPS):
        gradient = scores(games, parameters).sum(0) - penalty * parameters
        sharpness = information(games, parameters) + np.diag(penalty) + np.outer(anchor, anchor)
        if np.linalg.cond(sharpness) > WORST or np.abs(parameters).max() > FARTHEST:
            break
        inverse = np.linalg.inv(sharpness)
        step = inverse @ gradient
        if np.abs(step).max() < ACCURACY:
            along = games.players * (games.players + penalty[0])
            return Fit(parameters, inverse - np.outer(anchor, anchor) / along, penalty)
        parameters, value = _ascend(games, parameters, step, penalty, value)
    raise NoMaximum(_ENDLESS.format(STEPS))


def _ascend(games: Games, start: Array, step: Array, penalty: Array, value: float) -> tuple[Array, float]:
    """Return a point that is no lower than the start, along the step, and its height."""
    for halving in range(HALVINGS):
        there = start + step / 2**halving
        found = log_likelihood(games, there) - float(penalty @ there**2) / 2
        if found >= value - 1e-9 * abs(value):
            return there, found
        if not np.isfinite(value):
            value = log_likelihood(games, start) - float(penalty @ start**2) / 2
    return start, value


def _penalty(games: Games, prior: float | None) -> Array:
    penalty = np.zeros(games.players + games.sided + games.tied)
    penalty[: games.players + games.sided] = 0.0 if prior is None else prior**-2
    return penalty


def _anchor(games: Games) -> Array:
    """Return the direction that adds the same to all strengths, of which games say nothing: their sum stays zero."""
    anchor = np.zeros(games.players + games.sided + games.tied)
    anchor[: games.players] = 1.0
    return anchor


def _log_tie(games: Games, parameters: Array) -> float | None:
    return float(parameters[-1]) if games.tied else None


_ENDLESS = (
    "Davidson's model: expected a maximum of the likelihood, got none in {} steps. Remedy: prior=3.0, a Gaussian of "
    "that many log-odds around 0."
)
