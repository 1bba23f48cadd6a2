"""Results of a tournament: win rates and skills of snapshots as plain values, ready for JSON and terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming_metrics.ratings.gam import gam
from streaming_metrics.ratings.nrds import nrds
from streaming_metrics.ratings.task_results import plain, told
from streaming_metrics.ratings.tournament import online_skills, skills, win_rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.ratings.gam import Gam
    from streaming_metrics.ratings.matches import Matches

    Models = tuple[tuple[str, str], tuple[str, str]]

FORMAT, VERSION = "streaming-metrics-tournament", 1


def tournament_results(matches: Matches, *, prior: float | None = None, models: Models | None = None) -> dict[str, Any]:
    """Return all that a table of matches says; what cannot be told is None, and why is among the notes.

    Args:
        matches: of generators and discriminators.
        prior: of skills; see :func:`~streaming_metrics.ratings.tournament.skills`.
        models: two, a generator and its discriminator each, that GAM compares; None for none.
    """
    notes: list[str] = []
    rates = win_rates(matches)
    skill = _attempt(notes, "skills", lambda: skills(matches, prior))
    online = _attempt(notes, "online ratings", lambda: online_skills(matches))
    areas = _attempt(notes, "NRDS", lambda: nrds(matches)) if len(matches.discriminators) == 1 else None
    compared = None if models is None else gam(matches, *models)
    return {
        "format": FORMAT,
        "version": VERSION,
        "generators": [
            {
                "generator": name,
                "win_rate": told(rate),
                "skill": None if skill is None else told(skill.generators[name]),
                "online": None if online is None else plain(online[name].ordinal),
                "nrds": None if areas is None else plain(areas.get(name)),
            }
            for name, rate in rates.items()
        ],
        "discriminators": []
        if skill is None
        else [{"discriminator": name, "skill": told(one)} for name, one in skill.discriminators.items()],
        "dispersion": None if skill is None else plain(skill.dispersion),
        "prior": prior,
        "gam": None if compared is None else _compared(compared),
        "notes": notes,
    }


def _compared(found: Gam) -> dict[str, Any]:
    ratios = {"r_test": told(found.r_test), "r_samples": told(found.r_samples)}
    return {**ratios, "winner": found.winner, "certain": found.certain, "tolerance": found.tolerance}


def _attempt(notes: list[str], what: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except (ValueError, ImportError) as error:
        notes.append(f"{what} cannot be told: {error}")
        return None
