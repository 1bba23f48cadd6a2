"""Looks: at how many samples a score is looked at, and how far apart two must then be.

S. K. Wang, A. A. Tsiatis, "Approximately optimal one-parameter boundaries for group sequential trials", Biometrics
1987. Numbers of samples double from look to look, and the boundary is ``C·(N/N_k)^¼`` standard errors: the error rate
of all looks together is alpha, as that of one look would be.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

SHAPE = 0.25
"""Wang and Tsiatis' Δ is ½ minus this: 0 is Pocock's boundary, ½ O'Brien and Fleming's."""
MOST_LOOKS = 12
GRID = 129


def looks(num_samples: int, least: int) -> list[int]:
    """Return the numbers of samples of each look, the last ``num_samples``, each twice the one before.

    Args:
        num_samples: the most.
        least: the fewest with which a score can be compared; a first look has at least so many.

    Example:
        >>> looks(10_000, least=1_000), looks(10_000, least=20_000)
        ([1250, 2500, 5000, 10000], [10000])
    """
    found = [num_samples]
    while found[0] // 2 >= max(1, least) and len(found) < MOST_LOOKS:
        found.insert(0, found[0] // 2)
    return found


def threshold(share: float, num_looks: int, alpha: float = 0.05) -> float:
    """Return how many standard errors two scores must be apart at a look.

    Args:
        share: samples of this look among those of the last one, in (0, 1].
        num_looks: how many looks that double there are.
        alpha: error rate of all of them together.

    Example:
        >>> [round(threshold(share, num_looks=4), 3) for share in (0.125, 0.25, 0.5, 1.0)]
        [3.457, 2.907, 2.444, 2.055]
    """
    return boundary(num_looks, alpha) * share**-SHAPE


@lru_cache(maxsize=64)
def boundary(num_looks: int, alpha: float) -> float:
    """Return Wang and Tsiatis' constant C for looks that double.

    Example:
        >>> [round(boundary(k, 0.05), 3) for k in (1, 2, 3, 6)], round(boundary(5, 0.01), 3)
        ([1.96, 2.038, 2.053, 2.056], 2.622)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha: expected an error rate in (0, 1), got {alpha}. Remedy: alpha=0.05.")
    single, each = (float(norm.isf(alpha / 2 / looked)) for looked in (1, num_looks))  # as one look; as Bonferroni's
    if num_looks == 1:
        return single
    shares = 0.5 ** np.arange(num_looks - 1, -1, -1)
    return float(brentq(lambda c: _crossing(shares, c) - alpha, single, each, xtol=1e-6))  # pyright: ignore


def _crossing(shares: np.ndarray, constant: float) -> float:
    """Return the probability that a Brownian motion leaves the boundary at one of the looks.

    Armitage, McPherson and Rowe's recursion: the density of what has stayed inside, on a grid, look by look.
    """
    inside, nodes, times = np.ones(1), np.zeros(1), np.concatenate([[0.0], shares])
    total = 0.0
    x, weights = np.polynomial.legendre.leggauss(GRID)
    for before, now in pairwise(times):
        edge = constant * now ** (0.5 - SHAPE)
        scale = np.sqrt(now - before)
        total += float(inside @ (norm.sf((edge - nodes) / scale) + norm.cdf((-edge - nodes) / scale)))
        at = x * edge
        inside = (norm.pdf((at[:, None] - nodes) / scale) / scale @ inside) * weights * edge
        nodes = at
    return total
