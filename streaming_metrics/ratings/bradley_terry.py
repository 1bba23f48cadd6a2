"""Bradley–Terry strengths of conditions, from preferences or a matrix of wins, with Davidson's ties.

Bradley and Terry, Biometrika 1952; Davidson, JASA 1970; Davidson and Beaver, Biometrics 1977. Parity target: choix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming_metrics.arguments import check_flag, check_real
from streaming_metrics.ratings.clusters import clustered_covariance
from streaming_metrics.ratings.davidson import Games
from streaming_metrics.ratings.judgements import Judgements
from streaming_metrics.ratings.preference import compared
from streaming_metrics.ratings.separation import fit_or_tell
from streaming_metrics.ratings.strengths import Strengths

if TYPE_CHECKING:
    from streaming_metrics.ratings.judgement import Judgement
    from streaming_metrics.ratings.preference import WinMatrix


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
    rows = compared(judgements)
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
