"""Online ratings of conditions by ``openskill``: Plackett–Luce or Bradley–Terry models, updated game by game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming_metrics.ratings.preference import compared

if TYPE_CHECKING:
    from streaming_metrics.ratings.judgements import Judgements

MODELS = {"plackett-luce": "PlackettLuce", "bradley-terry": "BradleyTerryFull"}


@dataclass(frozen=True)
class Rating:
    """Rating of a player: a Gaussian belief of its skill.

    Args:
        mu: mean; 25 before any game.
        sigma: standard deviation; 25/3 before any game.
        games: that it played.
    """

    mu: float
    sigma: float
    games: int

    @property
    def ordinal(self) -> float:
        """The conservative skill ``μ − 3σ``, 0 before any game; what lists are sorted by."""
        return self.mu - 3 * self.sigma


class Rater:
    """Rater of players that meet two at a time, one game after the other.

    Args:
        model: ``"plackett-luce"``, or ``"bradley-terry"``.

    Raises:
        ImportError: without ``openskill``.
        ValueError: for another model.
    """

    def __init__(self, model: str = "plackett-luce") -> None:
        if model not in MODELS:
            raise ValueError(f"model: expected one of {sorted(MODELS)}, got {model!r}. Remedy: 'plackett-luce'.")
        self._model: Any = getattr(_openskill(), MODELS[model])()
        self._ratings: dict[str, Any] = {}
        self._games: dict[str, int] = {}

    def play(self, first: str, second: str, result: float) -> None:
        """Update both players' ratings by a game: 1 the first won, 0 the second, ½ a tie."""
        teams = [[self._ratings.get(name) or self._model.rating(name=name)] for name in (first, second)]
        (one,), (other,) = self._model.rate(teams, scores=[result, 1 - result])
        for name, rating in ((first, one), (second, other)):
            self._ratings[name], self._games[name] = rating, self._games.get(name, 0) + 1

    def ratings(self) -> dict[str, Rating]:
        """Return the ratings by player, best first."""
        found = {name: Rating(float(r.mu), float(r.sigma), self._games[name]) for name, r in self._ratings.items()}
        return dict(sorted(found.items(), key=lambda item: -item[1].ordinal))


def online_ratings(judgements: Judgements, model: str = "plackett-luce") -> dict[str, Rating]:
    """Return ratings of conditions by preferences, taken in the order in which they came (``when``).

    They depend on that order: late games weigh more than early ones, which suits players that change. Conditions do
    not: of all judgements :func:`~streaming_metrics.ratings.bradley_terry` uses each alike, and its
    intervals know that raters and prompts repeat, which σ does not. Attention checks are left out.

    Args:
        judgements: preferences among them are read.
        model: ``"plackett-luce"`` or ``"bradley-terry"``.

    Returns:
        By condition, best first: μ, σ and the conservative ``ordinal`` μ − 3σ.

    Raises:
        ImportError: without ``openskill``.
        ValueError: where there are no preferences.

    References:
        Weng and Lin, A Bayesian Approximation Method for Online Ranking, JMLR 2011; Joshy, OpenSkill, JOSS 2024.
    """
    rater = Rater(model)
    preferences = compared(judgements)
    if not preferences:
        raise ValueError("online_ratings: expected preferences, got none. Remedy: a study with kind = 'preference'.")
    for one in sorted(preferences, key=lambda judgement: judgement.when):
        rater.play(one.conditions[0], one.conditions[1], one.answer)
    return rater.ratings()


def _openskill() -> Any:
    try:
        from openskill import models
    except ModuleNotFoundError as error:
        raise ImportError(
            f"Online ratings: expected the package openskill, got {error}. Remedy: pip install "
            "'streaming-metrics[study]'; Bradley–Terry strengths need no package."
        ) from error
    return models
