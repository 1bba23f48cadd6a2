"""Separation: games of which no finite strengths are the likeliest, found by a linear programme, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from streaming_metrics.ratings.davidson import NoMaximum, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.ratings.davidson import Array, Fit, Games

SMALL = 1e-7
SHOWN = 5
"""Names that an error lists."""


def fit_or_tell(games: Games, names: Sequence[str], prior: float | None = None) -> Fit:
    """Return the fit of games, or say why there is none.

    Args:
        games: between players.
        names: of them.
        prior: as :func:`~streaming_metrics.ratings.davidson.fit` takes it.

    Raises:
        ValueError: naming players that were never compared with the rest, or that won or lost all against it; or where
            strengths and places cannot be told apart.
    """
    games = games.summed()
    if prior is None:
        _refuse_apart(games, names)
    try:
        return fit(games, prior)
    except NoMaximum:
        if prior is not None:
            raise
        direction = receding(games)
        raise ValueError(_CONFOUNDED if direction is None else _told(games, names, direction)) from None


def receding(games: Games) -> Array | None:
    """Return a direction in which the likelihood only grows, ``(p,)``; None where it has a maximum.

    Such a direction makes no outcome that was seen less likely than one that was not, and one of them likelier: each
    ``s`` below is how much likelier, at most 1, and their sum is 0 at its largest where there is a maximum.
    """
    gaps = _gaps(games)
    n, p = gaps.shape
    found = linprog(
        np.concatenate([np.zeros(p), -np.ones(n)]),
        A_ub=np.hstack([-gaps, np.eye(n)]),
        b_ub=np.zeros(n),
        bounds=[(None, None)] * p + [(0, 1)] * n,
    )
    return found.x[:p] if -found.fun > SMALL else None


def _gaps(games: Games) -> Array:
    """Return the differences between statistics of outcomes that were seen and of any other, each once."""
    odds, ties = games.design
    statistics = np.stack([odds / 2, np.broadcast_to(ties, odds.shape), -odds / 2], 1)
    possible = [0, 1, 2] if games.tied else [0, 2]
    gaps = [
        statistics[row, seen] - statistics[row, other]
        for row, outcomes in enumerate(games.outcomes)
        for seen in possible
        for other in possible
        if seen != other and outcomes[seen]
    ]
    return np.unique(np.stack(gaps), axis=0)


def _refuse_apart(games: Games, names: Sequence[str]) -> None:
    ones = np.ones(len(games.first))
    graph = coo_array((ones, (games.first, games.second)), shape=(games.players, games.players))
    groups, group = connected_components(graph, directed=False)
    if groups > 1:
        smallest = np.bincount(group).argmin()
        raise ValueError(_APART.format(_list(names, group == smallest), _list(names, group != smallest)))


def _told(games: Games, names: Sequence[str], direction: Array) -> str:
    strengths = direction[: games.players]
    spread = np.ptp(strengths)
    if spread <= SMALL:
        return _NO_CHOICE.format(
            "every game was tied" if games.tied and direction[-1] > 0 else "one place won them all"
        )
    above = strengths > strengths.max() - spread / 2
    if games.sided and abs(direction[games.players]) > SMALL:
        return _BY_PLACE.format(_list(names, above), _list(names, ~above))
    return _SEPARATED.format(_list(names, above), _list(names, ~above))


def _list(names: Sequence[str], chosen: Array) -> str:
    found = [repr(name) for name, is_chosen in zip(names, chosen) if is_chosen]
    return ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


_REMEDY = (
    "Remedy: more judgements between these, or prior=3.0, a Gaussian of that many log-odds around 0, which the result "
    "then names."
)
_APART = "Strengths: expected games that connect all, got none between {} and {}. " + _REMEDY
_SEPARATED = (
    "Strengths: expected a win on either side wherever all are cut in two groups, got {} that never lost to {}: their "
    "likeliest distance is infinite. " + _REMEDY
)
_BY_PLACE = (
    "Strengths: expected games that tell strength from place, got {} that never lost to {} but where the first place "
    "may explain it: the likeliest distance is infinite. " + _REMEDY
)
_CONFOUNDED = (
    "Strengths: expected either order of those compared, got games in which a strength and the first place's advantage "
    "explain the same. Remedy: swap the sides, sides=False, or prior=3.0."
)
_NO_CHOICE = "Strengths: expected games that were won by different sides, got games in which {}. " + _REMEDY
