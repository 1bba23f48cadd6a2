"""Ids of samples, int64, which make splits, subsets and reservoirs independent of order and ranks.

A caller's ids are explicit: in ``[0, 2⁴⁰)``, unique over a role. Without ids a sample is anonymous: bit 62 is set, the
rank stands in bits 40 to 61 and the arrival on that rank in the bits below, so rank 0 counts 0, 1, 2, ….
"""

from __future__ import annotations

import torch
from torch import Tensor

from streaming_metrics.deferred import require

EXPLICIT_LIMIT = 1 << 40
ANONYMOUS = 1 << 62


def anonymous_index(seen: int, n: int, rank: int) -> Tensor:
    """Return ids ``(n,)`` for the samples that arrive on ``rank`` after ``seen`` others."""
    start = ANONYMOUS + rank * EXPLICIT_LIMIT + seen
    return torch.arange(start, start + n, device="cpu")


def ordinal(index: Tensor) -> Tensor:
    """Return explicit ids as they are, anonymous ones without their mark: the arrival, on rank 0."""
    return index & (ANONYMOUS - 1)


def is_anonymous(index: Tensor) -> Tensor:
    """Return bool ``(N,)``: which ids were not given by the caller."""
    return index >= ANONYMOUS


def check_index(index: Tensor, n: int) -> Tensor:
    """Return ids; raise unless they are int64 ``(n,)`` in ``[0, 2⁴⁰)``. Those that a device is still to check are
    clamped to that range.
    """
    if not isinstance(index, Tensor) or index.dtype != torch.int64:
        raise TypeError(f"index: expected an int64 tensor, got {getattr(index, 'dtype', type(index).__name__)}.")
    if index.shape != (n,):
        raise ValueError(f"index: expected shape ({n},), one id for each sample, got {tuple(index.shape)}.")
    ends = torch.stack(index.aminmax()) if n else index.new_zeros(2)

    def why() -> Exception:
        low, high = ends.tolist()
        return ValueError(f"index: expected ids in [0, 2**40), got {low} to {high}.")

    is_late = require(((ends >= 0) & (ends < EXPLICIT_LIMIT)).all(), why)
    return index.clamp(0, EXPLICIT_LIMIT - 1) if is_late else index


def cluster_of(index: Tensor, cluster: int) -> Tensor:
    """Return the cluster of each id: ``index // cluster``; of anonymous ones, their rank's mark and arrival // cluster.

    Example:
        >>> cluster_of(torch.tensor([0, 1, 2, 3]), 2).tolist()
        [0, 0, 1, 1]
        >>> len(cluster_of(anonymous_index(0, 6, rank=1), 3).unique())
        2
    """
    arrival = EXPLICIT_LIMIT - 1
    return (index & ~arrival) | (index & arrival).div(cluster, rounding_mode="floor")


def hashed(index: Tensor) -> Tensor:
    """Return a fixed pseudo-random int64 for each id, distinct for distinct ids (SplitMix64's finaliser, a
    bijection).
    """
    mixed = index + -7046029254386353131
    mixed = (mixed ^ shifted(mixed, 30)) * -4658895280553007687
    mixed = (mixed ^ shifted(mixed, 27)) * -7723592293110705685
    return mixed ^ shifted(mixed, 31)


def hashed_clusters(index: Tensor, cluster: int) -> Tensor:
    """Return a pseudo-random int64 for each id, by which ``cluster`` consecutive ids stay together: their keys differ
    in the last bits alone.
    """
    if cluster == 1:
        return hashed(index)
    room = (1 << (cluster - 1).bit_length()) - 1
    return (hashed(cluster_of(index, cluster)) & ~room) | (index & (EXPLICIT_LIMIT - 1)) % cluster


def in_first_half(index: Tensor, cluster: int = 1) -> Tensor:
    """Return bool ``(N,)``: which of two halves samples are of, at random by cluster, whatever reservoir they are in.

    Not by parity: labels dealt in turn would split the classes.
    """
    return hashed(cluster_of(index, cluster)) & (1 << 20) != 0


def shifted(bits: Tensor, by: int) -> Tensor:
    """Return int64 shifted right as if unsigned: its own shift carries the sign along."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
