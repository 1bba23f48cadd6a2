"""GAM, the generative adversarial metric: two models swap discriminators, and the one that is fooled less wins.

Im et al., Generating Images with Recurrent Adversarial Networks, 2016 (arXiv:1602.05110).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from streaming_metrics.arguments import check_real
from streaming_metrics.ratings.estimate import Estimate

if TYPE_CHECKING:
    from streaming_metrics.ratings.matches import Matches


@dataclass(frozen=True)
class Gam:
    """Generative adversarial metric: ratios of two discriminators' errors, and who wins.

    Args:
        r_test: on real test samples, of the first over the second; a winner is only told where it is near 1.
        r_samples: of the first on the second's samples over the second on the first's; below 1 the first wins.
        winner: its generator; None where r_test is not near 1, or r_samples is 1.
        certain: whether there is a winner, and the interval of r_samples leaves 1 out.
        tolerance: how far r_test may be from 1.
    """

    r_test: Estimate
    r_samples: Estimate
    winner: str | None
    certain: bool
    tolerance: float


def gam(
    matches: Matches,
    first: tuple[str, str],
    second: tuple[str, str],
    *,
    tolerance: float = 0.1,
    confidence: float = 0.95,
) -> Gam:
    """Return the generative adversarial metric of two models, each a generator and its discriminator.

    ``r_test = ε(D₁(x)) / ε(D₂(x))`` on real test samples, ``r_samples = ε(D₁(G₂(z))) / ε(D₂(G₁(z)))``, with ε the share
    judged wrongly. Where ``|r_test − 1| ≤ tolerance`` the first wins if r_samples < 1, the second if above; else there
    is no winner: one discriminator has learnt the real samples better. Equal errors, none on either side too, are a
    ratio of 1. Intervals are of the samples, of logarithms.

    Args:
        matches: table; real samples must be test samples.
        first: its generator and discriminator.
        second: likewise.
        tolerance: of r_test.
        confidence: of the intervals.

    Raises:
        ValueError: where one of the four was not played.

    References:
        Im et al., Generating Images with Recurrent Adversarial Networks, 2016 (arXiv:1602.05110).
    """
    check_real("tolerance", tolerance, least=0)
    (g1, d1), (g2, d2) = first, second
    on_real = [_errors(matches, "", d, "real samples") for d in (d1, d2)]
    on_fake = [_errors(matches, g, d, f"samples of {g!r}") for g, d in ((g2, d1), (g1, d2))]
    r_test, r_samples = (_ratio(one, other, confidence) for one, other in (on_real, on_fake))
    is_fair = abs(r_test.value - 1) <= tolerance + 1e-12
    winner = None if not is_fair or r_samples.value == 1 else g1 if r_samples.value < 1 else g2
    certain = winner is not None and not r_samples.low <= 1 <= r_samples.high
    return Gam(r_test, r_samples, winner, certain, tolerance)


def _errors(matches: Matches, generator: str, discriminator: str, samples: str) -> tuple[int, int]:
    judged = matches.of(generator, discriminator)
    if not judged.samples:
        raise ValueError(_UNPLAYED.format(discriminator, samples))
    wrong = judged.called_real if generator else judged.samples - judged.called_real
    return wrong, judged.samples


def _ratio(over: tuple[int, int], under: tuple[int, int], confidence: float) -> Estimate:
    """Return a ratio of two shares, with the interval of its logarithm; half an error more on either side in it."""
    (x, n), (y, m) = over, under
    value = 1.0 if x * m == y * n else x / n / (y / m) if y else float("inf")
    log = np.log((x + 0.5) / (n + 0.5)) - np.log((y + 0.5) / (m + 0.5))
    half = norm.ppf((1 + confidence) / 2) * np.sqrt(1 / (x + 0.5) - 1 / (n + 0.5) + 1 / (y + 0.5) - 1 / (m + 0.5))
    low, high = float(np.exp(log - half)), float(np.exp(log + half))
    return Estimate(value, min(low, value), max(high, value), n + m, 2, confidence)


_UNPLAYED = (
    "GAM: expected both discriminators on real test samples and on the other's generator's, got none by {0!r} on {1}. "
    "Remedy: play that match."
)
