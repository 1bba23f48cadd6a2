"""Group means: the mean of a value in each of many groups, with its standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIOR = 20.0
"""Samples for which the variance within all groups counts in that of each: values are skewed, and a group that lacks
the rare large ones would else be sure of its mean."""


class GroupMeans(NamedTuple):
    """Means of a value by group, a row a group, those with too few samples left out.

    Args:
        groups: ``(G,)`` int64, ascending.
        counts: ``(G,)`` int64, samples of each, or clusters where samples depend on each other.
        means: ``(G,)`` float64.
        errors: ``(G,)`` float64, their standard errors.
    """

    groups: NDArray[np.int64]
    counts: NDArray[np.int64]
    means: NDArray[np.float64]
    errors: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        values: NDArray[np.float64],
        groups: NDArray[np.int64],
        clusters: NDArray[np.int64] | None = None,
        least: int = 2,
    ) -> GroupMeans:
        """Return the means by group.

        Args:
            values: ``(n,)``, a sample each.
            groups: ``(n,)``, the group of each.
            clusters: ``(n,)``, samples of one cluster depend on each other; None where all are independent.
            least: samples, or clusters, of a group, at least 2; groups with fewer are left out.

        Example:
            >>> GroupMeans.of(np.array([0.0, 2.0, 1.0, 5.0, 7.0, 9.0]), np.array([3, 3, 3, 8, 8, 5])).means.tolist()
            [1.0, 6.0]
        """
        values, groups = _by_cluster(values, groups, clusters)
        names, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
        means = np.bincount(place, values, len(names)) / counts
        scatter = np.bincount(place, (values - means[place]) ** 2, len(names))
        keeps = counts >= max(least, 2)
        names, counts, means, scatter = names[keeps], counts[keeps], means[keeps], scatter[keeps]
        pooled = scatter.sum() / max((counts - 1).sum(), 1)
        errors = np.sqrt((scatter + PRIOR * pooled) / (counts - 1 + PRIOR) / counts)
        return cls(names, counts, means, errors)

    def minus(self, other: GroupMeans) -> GroupMeans:
        """Return the differences of the means of groups that both have; the counts are this one's."""
        groups, mine, theirs = np.intersect1d(self.groups, other.groups, return_indices=True)
        errors = np.hypot(self.errors[mine], other.errors[theirs])
        return GroupMeans(groups, self.counts[mine], self.means[mine] - other.means[theirs], errors)


def _by_cluster(
    values: NDArray[np.float64], groups: NDArray[np.int64], clusters: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the mean of each cluster within a group, and its group: what is independent."""
    if clusters is None:
        return values, groups
    pairs, place, counts = np.unique(np.stack([groups, clusters]), axis=1, return_inverse=True, return_counts=True)
    return np.bincount(place.ravel(), values) / counts, pairs[0]
