"""NRDS, the normalized relative discriminative score: areas under one discriminator's curves of its mean score.

Zhang, Song and Qi, Decoupled Learning for Conditional Adversarial Networks, 2018 (arXiv:1801.06790).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.integrate import trapezoid

if TYPE_CHECKING:
    from streaming_metrics.ratings.matches import Matches


def nrds(matches: Matches, discriminator: str | None = None) -> dict[str, float]:
    """Return the normalized relative discriminative score of generators, compared by one discriminator.

    That discriminator is trained to tell real samples from those of all generators; ``C_i`` is the curve of its mean
    score on generator i's samples over the training, and ``NRDS_i = A(C_i) / Σ_k A(C_k)`` its area's share. Range
    [0, 1]; K generators sum to 1, and 1 / K each is a tie; higher is better, and only relative.

    Args:
        matches: table, with the steps of the training.
        discriminator: which; the only one where there is one.

    Raises:
        ValueError: where there are fewer than two steps, or generators were not scored at the same ones.

    References:
        Zhang, Song and Qi, Decoupled Learning for Conditional Adversarial Networks, 2018 (arXiv:1801.06790).

    Example:
        >>> from streaming_metrics.ratings.matches import Matches
        >>> matches = Matches()
        >>> for step, score in enumerate([0.5, 0.3, 0.1]):
        ...     matches.update("a", "d", [score], step=step)
        ...     matches.update("b", "d", [score / 2], step=step)
        >>> {name: round(share, 3) for name, share in nrds(matches).items()}
        {'a': 0.667, 'b': 0.333}
    """
    names = matches.discriminators
    if len(names) != 1 if discriminator is None else discriminator not in names:
        raise ValueError(_WHICH.format(discriminator, list(names)))
    judge = names[0] if discriminator is None else discriminator
    curves: dict[str, dict[int, float]] = {name: {} for name in matches.generators}
    for meeting, judged in matches:
        if meeting.generator and meeting.discriminator == judge and judged.samples:
            curves[meeting.generator][meeting.step] = judged.score / judged.samples
    steps = sorted({step for curve in curves.values() for step in curve})
    for name, curve in curves.items():
        if len(steps) < 2 or sorted(curve) != steps:
            raise ValueError(_STEPS.format(name, judge, sorted(curve), steps))
    areas = {name: float(trapezoid([curve[s] for s in steps], steps)) for name, curve in curves.items()}
    total = sum(areas.values())
    return {name: area / total if total else 1 / len(areas) for name, area in areas.items()}


_WHICH = (
    "NRDS: expected one discriminator, got discriminator={0!r} of {1}. Remedy: name the one that saw all generators."
)
_STEPS = (
    "NRDS: expected every generator at the same two or more steps, got {0!r} scored by {1!r} at {2} of {3}. Remedy: "
    "score samples of each generator at each step of that discriminator's training."
)
