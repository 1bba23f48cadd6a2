"""Results of matches as plain values: win rates and skills of all snapshots, for a table and a file of JSON."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming_metrics.ratings.match_files import COUNTS, WHO
from streaming_metrics.ratings.nrds import nrds
from streaming_metrics.ratings.tournament import online_skills, skills, win_rates

if TYPE_CHECKING:
    from streaming_metrics.ratings.estimate import Estimate
    from streaming_metrics.ratings.matches import Matches

FORMAT, VERSION = "streaming-metrics-matches", 1


def match_results(matches: Matches, prior: float | None = 3.0, *, online: bool = False) -> dict[str, Any]:
    """Return what a table of matches says, in values that JSON has; None stands for what cannot be told.

    Args:
        matches: table.
        prior: of skills, as :func:`~streaming_metrics.ratings.tournament.skills` takes it.
        online: whether ``openskill`` rates the generators too.

    Returns:
        ``format``, ``version`` and ``signature``; ``generators``, each with ``name``, ``win_rate``, ``skill`` and, if
        asked for, ``rating``; ``discriminators``, with ``name``, ``skill`` and ``correct_on_real``; ``dispersion`` and
        ``prior`` of skills; ``nrds`` where one discriminator scored all generators at two steps or more.

    Raises:
        ValueError: where a skill is infinite, and no prior is given.
        ImportError: with ``online`` and without ``openskill``.

    Example:
        >>> from streaming_metrics.ratings.matches import Matches
        >>> matches = Matches()
        >>> matches.update("g", "d", [0.9, 0.2, 0.1, 0.1])
        >>> found = match_results(matches)
        >>> found["signature"], found["generators"][0]["win_rate"]["value"]
        ('matches:434f4939|generators:1|discriminators:1|scores:4|prior:3', 0.25)
    """
    rates, found = win_rates(matches), skills(matches, prior)
    ratings = online_skills(matches) if online else {}
    generators: list[dict[str, Any]] = [
        {"name": name, "win_rate": _plain(rates[name]), "skill": _plain(found.generators[name])}
        for name in matches.generators
    ]
    for row in generators:
        if online:
            rating = ratings[row["name"]]
            row["rating"] = {"mu": rating.mu, "sigma": rating.sigma, "ordinal": rating.ordinal}
    return {
        "format": FORMAT,
        "version": VERSION,
        "signature": _signature(matches, prior),
        "generators": generators,
        "discriminators": [_discriminator(matches, name, one) for name, one in found.discriminators.items()],
        "dispersion": _number(found.dispersion),
        "prior": prior,
        "nrds": _nrds(matches),
    }


def _discriminator(matches: Matches, name: str, skill: Estimate) -> dict[str, Any]:
    real = matches.real(name)
    share = real.called_real / real.samples if real.samples else None
    return {"name": name, "skill": _plain(skill), "correct_on_real": share}


def _nrds(matches: Matches) -> dict[str, float] | None:
    is_of_one = len(matches.discriminators) == 1 and len(matches.generators) > 1
    steps = [frozenset(m.step for m, _ in matches if m.generator == name) for name in matches.generators]
    return nrds(matches) if is_of_one and len(set(steps)) == 1 and len(steps[0]) > 1 else None


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": _number(estimate.value),
        "low": _number(estimate.low),
        "high": _number(estimate.high),
        "scores": estimate.judgements,
        "matches": estimate.raters,
        "confidence": estimate.confidence,
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _signature(matches: Matches, prior: float | None) -> str:
    """Return how the results came about: a digest of the counts, in any order, and how many there are."""
    rows = sorted((*meeting, judged.samples, judged.called_real) for meeting, judged in matches)
    digest = sha256(repr((*WHO, *COUNTS[:2], rows)).encode()).hexdigest()[:8]
    scores = sum(judged.samples for _, judged in matches)
    known = f"generators:{len(matches.generators)}|discriminators:{len(matches.discriminators)}|scores:{scores}"
    return f"matches:{digest}|{known}|prior:{'none' if prior is None else f'{prior:g}'}"
