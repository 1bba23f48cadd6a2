"""Geometry score: how long loops of the two sides live, as balls around random landmarks grow.

V. Khrulkov, I. Oseledets, "Geometry score: a method for comparing generative adversarial networks", ICML 2018.
Parity target: the authors' code, given the landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.arguments import check_integer, check_real
from streaming_metrics.measures.base import Measure, Scalar, width
from streaming_metrics.measures.held_out import balanced_size
from streaming_metrics.pairwise.all_pairs import all_pairs
from streaming_metrics.statistics import Bank
from streaming_metrics.statistics.hashes import hashes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streaming_metrics.features import Role, Spec
    from streaming_metrics.measures.base import Prepared, Results, Side, Sides
    from streaming_metrics.statistics import Statistic

WIDEST, USUAL = 1 / 128, 5000
"""γ of so many samples; it is proportional to their number."""


@dataclass(frozen=True)
class GeometryScore(Measure):
    """Geometry score: squared distance between the mean relative living times of loops on the two sides.

    ``Σ_i (MRLT_real(i) − MRLT_fake(i))²``, i < ``i_max``, range [0, 2], lower is better. MRLT(i) is the share of
    scales α in [0, α_max] at which a witness complex has i one-dimensional holes (β₁ = i, over Z/2), its mean over
    ``n`` complexes. A complex has ``landmarks`` samples, drawn with replacement, as vertices, and all samples as
    witnesses: a simplex is there at α once, for it and each of its faces, some witness is no more than α farther from
    its vertices than from any other landmark. ``α_max = γ · max distance`` of a witness from a landmark.

    Parity details of the authors' code: distances enter where squared ones are defined; a hole that never closes lives
    until α_max; times at which β₁ ≥ ``i_max`` are left out; both sides draw landmarks anew, here with one seed, so that
    identical sides score 0. It sees topology alone: no shift, no scale.

    Of each side, ``most`` rows are kept, equally many of both are used. At 2,000 rows of width 2048 a complex takes
    some 15 ms of one core, so the default 15 s a side; a frozen real side's living times are made once.

    Args:
        n: complexes of each side.
        landmarks: vertices of each (L₀).
        gamma: γ; by default N / (128 · 5000), of N rows a side.
        i_max: numbers of holes that are told apart.
        most: rows of each side.
        seed: of the landmarks.

    Raises:
        ModuleNotFoundError: without gudhi; ``pip install "streaming-metrics[geometry]"``.
        NotEnoughSamples: at compute, with no sample on a side.

    Example:
        >>> import torch
        >>> from streaming_metrics import GenerativeMetrics
        >>> metric = GenerativeMetrics([GeometryScore(n=20, gamma=0.2, landmarks=32)], extractor=None, num_features=2)
        >>> angle = torch.arange(200.0).mul(torch.pi / 100)
        >>> circle = torch.stack([angle.cos(), angle.sin()], 1)
        >>> metric.update(circle, real=True)
        >>> metric.update(circle.abs(), real=False)  # a quarter of it, which has no hole
        >>> metric.compute()["geometry_score_features"].item() > 1
        True
    """

    n: int = 1000
    landmarks: int = 64
    gamma: float | None = None
    i_max: int = 100
    most: int = 2000
    seed: int = 0

    label: ClassVar[str] = "geometry_score"
    group: ClassVar[str] = "distances"
    paper: ClassVar[str] = "Khrulkov and Oseledets, ICML 2018"

    def __post_init__(self) -> None:
        check_integer("GeometryScore n", self.n, least=1)
        check_integer("GeometryScore landmarks", self.landmarks, least=1)
        if self.gamma is not None:
            check_real("GeometryScore gamma", self.gamma, above=0)
        check_integer("GeometryScore i_max", self.i_max, least=1)
        check_integer("GeometryScore most", self.most, least=1)
        check_integer("GeometryScore seed", self.seed, least=0, most=2**32 - 1)
        load_gudhi()

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return self.known_scalars()

    @classmethod
    def known_scalars(cls) -> tuple[Scalar, ...]:
        """Return its scalar, which is known without gudhi too."""
        return (Scalar("geometry_score", "Geometry score", "lower"),)

    def statistics(self, spec: Spec) -> Mapping[Role, tuple[Statistic, ...]]:
        bank = (self._bank(spec),)
        return {"real": bank, "fake": bank}

    def check(self, sides: Sides) -> None:
        for side in (sides.real, sides.fake):
            side.require(1, "GeometryScore")

    def compute(self, sides: Sides, prepared: Prepared, results: Results) -> dict[str, Tensor]:  # noqa: ARG002
        size, bank = balanced_size(sides, self.most), self._bank(sides.spec)
        real, fake = (self._living_times(side, side.rows(bank, size)) for side in (sides.real, sides.fake))
        return {"geometry_score": torch.tensor(np.square(real - fake).sum(), dtype=torch.float64)}

    def _bank(self, spec: Spec) -> Bank:
        return Bank(width(spec, "GeometryScore"), capacity=self.most)

    def _living_times(self, side: Side, rows: Tensor) -> np.ndarray:
        return side.once((self, len(rows)), lambda: np.mean([*self._each_living_times(rows)], axis=0))

    def _each_living_times(self, rows: Tensor) -> Iterator[np.ndarray]:
        """Yield the relative living times ``(i_max,)`` of each complex of rows ``(N, D)``."""
        distances = all_pairs(rows, rows).squared.sqrt().cpu().numpy()[distinct_rows(rows)]
        gamma = WIDEST * len(rows) / USUAL if self.gamma is None else self.gamma
        random = np.random.RandomState(self.seed)
        for _ in range(self.n):
            from_landmarks = distances.take(random.choice(len(rows), self.landmarks), axis=1)
            alpha_max = gamma * from_landmarks.max()
            yield relative_living_times(loops(from_landmarks, alpha_max), alpha_max, self.i_max)


def distinct_rows(rows: Tensor) -> np.ndarray:
    """Return the places of rows, one of each set of copies: as witnesses, copies would add nothing but time."""
    return np.unique(hashes_of(rows).cpu().numpy(), return_index=True)[1]


def loops(distances: np.ndarray, alpha_max: float) -> np.ndarray:
    """Return birth and death ``(loops, 2)`` of the one-dimensional holes of a witness complex, death may be inf.

    Args:
        distances: ``(witnesses, landmarks)``.
        alpha_max: the largest scale.
    """
    if not alpha_max > 0:
        return np.empty((0, 2))  # copies of one sample
    complex_of = load_gudhi().WitnessComplex
    tree = complex_of(witness_table(distances, alpha_max)).create_simplex_tree(alpha_max, limit_dimension=2)
    tree.compute_persistence(homology_coeff_field=2)
    return tree.persistence_intervals_in_dimension(1).reshape(-1, 2)


def witness_table(distances: np.ndarray, alpha_max: float) -> list[list[tuple[int, float]]]:
    """Return each witness's nearest landmarks and their distances, ascending, as far as they can matter up to a scale.

    A witness of a simplex that has a vertex beyond its three nearest landmarks lacks one of those three: for triangles
    and less, only landmarks within ``alpha_max`` of the third are seen.
    """
    third = min(3, distances.shape[1]) - 1
    is_near = distances <= np.partition(distances, third, axis=1)[:, third, None] + alpha_max
    witnesses, landmarks = is_near.nonzero()
    near = distances[is_near]
    order = np.lexsort((near, witnesses))  # landmarks equally near stay in order
    pairs = list(zip(landmarks[order].tolist(), near[order].tolist()))
    ends = is_near.sum(1).cumsum().tolist()
    return [pairs[start:end] for start, end in pairwise([0, *ends])]


def relative_living_times(intervals: np.ndarray, alpha_max: float, i_max: int) -> np.ndarray:
    """Return the share of ``[0, alpha_max]`` in which 0, 1, … of the intervals are alive: ``(i_max,)``.

    Example:
        >>> relative_living_times(np.array([[1.0, 3.0], [2.0, np.inf]]), alpha_max=4.0, i_max=4)
        array([0.25, 0.5 , 0.25, 0.  ])
    """
    if not alpha_max > 0:
        return np.eye(1, i_max)[0]
    births, deaths = np.minimum(intervals, alpha_max).T
    ends = np.unique([0.0, alpha_max, *births, *deaths])
    middles = (ends[1:] + ends[:-1]) / 2
    alive = ((births[:, None] <= middles) & (middles < deaths[:, None])).sum(0)
    return np.bincount(alive, np.diff(ends), minlength=i_max)[:i_max] / alpha_max


def load_gudhi() -> Any:
    """Return the package gudhi; raise ModuleNotFoundError, with the remedy, where it is missing."""
    try:
        import gudhi
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'GeometryScore: expected gudhi, got none. Remedy: pip install "streaming-metrics[geometry]".'
        ) from error
    return gudhi
