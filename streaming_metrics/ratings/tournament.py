"""Tournament of generators and discriminators: win rates and skills of snapshots, from a table of matches.

Olsson et al., Skill Rating for Generative Models, 2018 (arXiv:1808.04888).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.ratings.davidson import Games, chances
from streaming_metrics.ratings.estimate import Estimate
from streaming_metrics.ratings.online import Rater, Rating
from streaming_metrics.ratings.separation import fit_or_tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streaming_metrics.ratings.davidson import Array
    from streaming_metrics.ratings.matches import Judged, Matches


@dataclass(frozen=True)
class Skills:
    """Skills of snapshots: log-odds of winning a sample, on one scale whose sum over all players is zero.

    Args:
        generators: by name.
        discriminators: by name.
        dispersion: variance of matches over what samples alone would make; intervals are as much wider where it is
            above 1. nan where every match was needed to fit.
        prior: standard deviation of the Gaussian around 0 that strengths were given; None for none.
    """

    generators: Mapping[str, Estimate]
    discriminators: Mapping[str, Estimate]
    dispersion: float
    prior: float | None = None


def win_rates(matches: Matches, *, confidence: float = 0.95) -> dict[str, Estimate]:
    """Return the tournament win rate of each generator, the mean of its match win rates over discriminators it met.

    A sample that is judged wrongly is a win of the generator: a match win rate is ``½ (fooled / n + wrong / m)`` over n
    generated and m real samples, or ``fooled / n`` where no real ones were judged; ½ is a discriminator that knows
    nothing. Range [0, 1], higher is better, and comparable within one tournament only. The interval is of the samples,
    given these discriminators; shares count half a sample more on either side in it, so that none has no width.

    Args:
        matches: table.
        confidence: of the intervals.

    Returns:
        The estimates by generator: ``raters`` is how many discriminators it met, ``judgements`` of how many samples.

    References:
        Olsson et al., Skill Rating for Generative Models, 2018 (arXiv:1808.04888).

    Example:
        >>> from streaming_metrics.ratings.matches import Matches
        >>> matches = Matches()
        >>> matches.update("g", "d", [0.9, 0.2])
        >>> matches.update("", "d", [0.9, 0.8], real=True)
        >>> win_rates(matches)["g"].value
        0.25
    """
    quantile = norm.ppf((1 + confidence) / 2)
    found = {}
    for generator in matches.generators:
        pairs = [(fake, real) for name, _, fake, real in _played(matches) if name == generator]
        rates = [_win_rate(fake, real) for fake, real in pairs]
        half = quantile * np.sqrt(sum(_variance(fake, real) for fake, real in pairs)) / len(pairs)
        value, samples = float(np.mean(rates)), sum(fake.samples + real.samples for fake, real in pairs)
        low, high = float(max(0.0, value - half)), float(min(1.0, value + half))
        found[generator] = Estimate(value, low, high, samples, len(pairs), confidence)
    return found


def skills(matches: Matches, prior: float | None = None, *, confidence: float = 0.95) -> Skills:
    """Return skills of generators and discriminators: Bradley–Terry strengths on their bipartite table.

    Each judged sample is a game, won by the generator where it is judged wrongly: ``P = 1 / (1 + e^(δ_d − γ_g))``.
    The covariance is that of the likelihood times the dispersion (Pearson's χ² over its degrees of freedom, never below
    1): snapshots do not play by one number, so matches vary more than samples do. Real samples count in each match.

    Args:
        matches: table.
        prior: standard deviation in log-odds of a Gaussian around 0; needed where one never won, or never lost.
        confidence: of the intervals.

    Raises:
        ValueError: where the likelihood has no maximum, and no prior is given.

    References:
        Bradley and Terry, 1952; Olsson et al., 2018 (arXiv:1808.04888), who rate by Glicko-2.
    """
    played = list(_played(matches))
    generators, discriminators = matches.generators, tuple(dict.fromkeys(name for _, name, _, _ in played))
    games = _games(played, generators, discriminators)
    names = (*generators, *discriminators)
    if prior is not None:
        check_real("prior", prior, above=0)
    fitted = fit_or_tell(games, names, prior)
    dispersion = _dispersion(games, fitted.parameters)
    spread = np.sqrt(np.diag(fitted.inverse) * max(1.0, dispersion if np.isfinite(dispersion) else 1.0))
    half = norm.ppf((1 + confidence) / 2) * spread
    estimates = {}
    for place, (name, value) in enumerate(zip(names, fitted.parameters)):
        took_part = (games.first == place) | (games.second == place)
        estimates[name, place < len(generators)] = Estimate(
            float(value),
            float(value - half[place]),
            float(value + half[place]),
            int(games.outcomes[took_part].sum()),
            int(took_part.sum()),
            confidence,
        )
    of_generators, of_discriminators = (
        {name: estimate for (name, is_generator), estimate in estimates.items() if is_generator is wanted}
        for wanted in (True, False)
    )
    return Skills(of_generators, of_discriminators, dispersion, prior)


def online_skills(matches: Matches, model: str = "plackett-luce", *, games: int = 10) -> dict[str, Rating]:
    """Return ratings of generators by ``openskill``, in the order in which matches were first played.

    Each match is ``games`` games, won in proportion to its win rate and spread evenly, so that a generator that fools
    one sample in ten is told from one that fools none. Ratings depend on the order; :func:`skills` do not.

    Args:
        matches: table.
        model: ``"plackett-luce"`` or ``"bradley-terry"``.
        games: of a match.

    Raises:
        ImportError: without ``openskill``.
    """
    check_integer("games", games, least=1)
    rater = Rater(model)
    for generator, discriminator, fake, real in _played(matches):
        rate = _win_rate(fake, real)
        for game in range(games):
            won = np.floor((game + 1) * rate + 0.5) > np.floor(game * rate + 0.5)
            rater.play(f"generator {generator}", f"discriminator {discriminator}", float(won))
    ratings = rater.ratings()
    return {generator: ratings[f"generator {generator}"] for generator in matches.generators}


def _played(matches: Matches) -> Iterator[tuple[str, str, Judged, Judged]]:
    """Yield every match: generator, discriminator, its judgements of generated and of real samples."""
    totals = matches.totals()
    none = next(iter(totals.values()))._replace(samples=0, called_real=0, score=0.0) if totals else None
    for (generator, discriminator), fake in totals.items():
        if generator and fake.samples and none is not None:
            yield generator, discriminator, fake, totals.get(("", discriminator), none)


def _win_rate(fake: Judged, real: Judged) -> float:
    """Return the match win rate of the generator."""
    fooled = fake.called_real / fake.samples
    return (fooled + 1 - real.called_real / real.samples) / 2 if real.samples else fooled


def _variance(fake: Judged, real: Judged) -> float:
    """Return the variance of a match win rate, of shares drawn towards ½ by a sample."""
    sides = [side for side in (fake, real) if side.samples]
    shares = [(side.called_real + 0.5) / (side.samples + 1) for side in sides]
    return sum(share * (1 - share) / side.samples for share, side in zip(shares, sides)) / len(sides) ** 2


def _games(
    played: list[tuple[str, str, Judged, Judged]], generators: tuple[str, ...], discriminators: tuple[str, ...]
) -> Games:
    won = np.array([fake.called_real + real.samples - real.called_real for _, _, fake, real in played], dtype=float)
    n = np.array([fake.samples + real.samples for _, _, fake, real in played], dtype=float)
    first = np.array([generators.index(generator) for generator, _, _, _ in played])
    second = np.array([len(generators) + discriminators.index(name) for _, name, _, _ in played])
    return Games(len(generators) + len(discriminators), first, second, np.stack([won, 0 * won, n - won], 1))


def _dispersion(games: Games, parameters: Array) -> float:
    """Return Pearson's χ² of matches over its degrees of freedom; nan where there are none."""
    free = len(games.first) - (games.players - 1)
    if free < 1:
        return float("nan")
    share, _, _ = chances(games.design[0] @ parameters, None)
    n = games.outcomes.sum(1)
    return float(((games.outcomes[:, 0] - n * share) ** 2 / np.maximum(n * share * (1 - share), 1e-12)).sum() / free)
