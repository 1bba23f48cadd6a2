"""Trial of a study: what one rater is shown once, and what is asked about it."""

from __future__ import annotations

from dataclasses import dataclass

PREFERENCE, OPINION, CATEGORISATION, ALIGNMENT = "preference", "opinion", "categorisation", "alignment"
KINDS = (PREFERENCE, OPINION, CATEGORISATION, ALIGNMENT)
NOISE = "noise"
"""The condition of the images that attention checks show; no study may call one of its own so."""
ORDER_VERSION = 1
"""Version of the order that :func:`~streaming_metrics.study.order.trials` makes: whoever changes it counts up."""


@dataclass(frozen=True)
class Trial:
    """Trial of a rater.

    Args:
        number: its place in the rater's order, from 0.
        task: name of the task.
        kind: of the task, one of :data:`KINDS`.
        items: numbers of the images in the store, from left to right; two for a preference, else one.
        ids: the same as ``"condition/index"``.
        conditions: of the images.
        prompt, category, challenge: of the images' prompt; ``""`` where there is none. Categorisation has none: whether
            an image has a prompt would tell whether it is real.
        truth: categorisation: 1.0 if the image is real, 0.0 if it is generated.
        expected: of an attention check, what an attentive rater answers: a preference or categorisation exactly so, an
            opinion or alignment at most one step away; None elsewhere.
        exposure_ms: how long the image is shown; None until it is answered.
        scale: the highest opinion or alignment.
        ties: whether a preference may be a tie.
    """

    number: int
    task: str
    kind: str
    items: tuple[int, ...]
    ids: tuple[str, ...]
    conditions: tuple[str, ...]
    prompt: str = ""
    category: str = ""
    challenge: str = ""
    truth: float | None = None
    expected: float | None = None
    exposure_ms: float | None = None
    scale: int = 5
    ties: bool = False

    @property
    def allowed(self) -> tuple[float, ...]:
        """The answers that may be given to it."""
        if self.kind == PREFERENCE:
            return (0.0, 0.5, 1.0) if self.ties else (0.0, 1.0)
        if self.kind == CATEGORISATION:
            return (0.0, 1.0)
        return tuple(map(float, range(1, self.scale + 1)))
