"""The one door to ``torch.distributed``: sums, extrema, a ring, and a roll call that names who is missing.

One process is the default: every collective is then the identity, so callers have one path.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

DEFAULT_TIMEOUT = 300.0
_computes_done: Counter[str] = Counter()


class MissingRanks(RuntimeError):
    """Some ranks did not arrive at a collective call in time."""


class Comm:
    """The ranks that share a metric's state.

    Args:
        group: a process group; None is the default group where one is initialised, else this process alone.
        timeout: seconds that :meth:`roll_call` waits for the other ranks.

    Example:
        >>> import torch
        >>> comm = Comm()
        >>> comm.rank, comm.world_size, comm.sum(torch.tensor([1.0])).item()
        (0, 1, 1.0)
    """

    def __init__(self, group: Any = None, timeout: float = DEFAULT_TIMEOUT, *, alone: bool = False) -> None:
        together = not alone and dist.is_available() and dist.is_initialized()
        self.group = (group or dist.group.WORLD) if together else None
        self.rank = dist.get_rank(self.group) if together else 0
        self.world_size = dist.get_world_size(self.group) if together else 1
        self.timeout = timeout

    @classmethod
    def alone(cls) -> Comm:
        """Return this process by itself, whatever group is initialised."""
        return cls(alone=True)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of ``tensor`` over ranks; ``tensor`` is consumed: it may be the result."""
        return self._all_reduce(tensor, "SUM")

    def min(self, tensor: Tensor) -> Tensor:
        """Return the elementwise minimum of ``tensor`` over ranks; ``tensor`` is consumed."""
        return self._all_reduce(tensor, "MIN")

    def max(self, tensor: Tensor) -> Tensor:
        """Return the elementwise maximum of ``tensor`` over ranks; ``tensor`` is consumed."""
        return self._all_reduce(tensor, "MAX")

    def first(self, tensor: Tensor) -> Tensor:
        """Return rank 0's ``tensor``, so that what was computed everywhere is the same bits everywhere."""
        return self.sum(tensor if self.rank == 0 else torch.zeros_like(tensor))

    def counts(self, n: int) -> list[int]:
        """Return every rank's ``n``."""
        mine = torch.zeros(self.world_size, dtype=torch.int64)
        mine[self.rank] = n
        return self.sum(mine).tolist()

    def gather(self, column: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the ranks' ``column`` ``(counts[rank],)`` one after another, each adding into its own place."""
        whole = column.new_zeros(sum(counts))
        start = sum(counts[: self.rank])
        whole[start : start + len(column)] = column
        return self.sum(whole)

    def ring(self, rows: Tensor, counts: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """Yield ``(rank, rows)`` of every rank, this one first; the next shard travels while the caller works.

        Args:
            rows: ``(counts[rank], …)`` this rank's shard; every rank must exhaust the iterator.
            counts: every rank's number of rows.
        """
        shard = rows
        for hop in range(self.world_size):
            source, following = (self.rank - hop) % self.world_size, (self.rank - hop - 1) % self.world_size
            last = hop == self.world_size - 1
            with self._passing_on(
                shard, rows.new_empty(0 if last else counts[following], *rows.shape[1:]), last
            ) as nxt:
                yield source, shard
            shard = nxt

    @contextmanager
    def _passing_on(self, shard: Tensor, buffer: Tensor, last: bool) -> Iterator[Tensor]:
        if last:
            yield buffer
            return
        outgoing, incoming = self._staged(shard.contiguous()), self._staged(buffer)
        peers = ((self.rank + 1) % self.world_size, (self.rank - 1) % self.world_size)
        ahead, behind = (dist.get_global_rank(self.group, peer) for peer in peers)  # pyright: ignore[reportArgumentType]
        transfers = [
            dist.P2POp(operation, tensor, peer, self.group)
            for operation, tensor, peer in ((dist.isend, outgoing, ahead), (dist.irecv, incoming, behind))
            if len(tensor)
        ]
        requests = dist.batch_isend_irecv(transfers) if transfers else []
        yield buffer
        for request in requests:
            request.wait()
        if incoming is not buffer:
            buffer.copy_(incoming)

    def roll_call(self, stance: str = "") -> list[str]:
        """Wait until every rank has called this as often as this one, and return what each of them says.

        Raises:
            MissingRanks: naming the ranks that did not come within ``timeout`` seconds. The call then does not count,
                so a later one, by all ranks, succeeds.
        """
        if self.world_size == 1:
            return [stance]
        store, name = dist.distributed_c10d._get_default_store(), self.group.group_name  # pyright: ignore
        call = _computes_done[name]
        keys = [f"streaming_metrics/{name}/{call}/{rank}" for rank in range(self.world_size)]
        try:
            store.set(keys[self.rank], stance)
            store.wait(keys, timedelta(seconds=self.timeout))
            stances = [store.get(key).decode() for key in keys]
        except RuntimeError as error:
            raise MissingRanks(_who_is_missing(store, keys, self.rank, self.timeout)) from error
        _computes_done[name] += 1
        if call:
            store.delete_key(f"streaming_metrics/{name}/{call - 1}/{self.rank}")
        return stances

    def _all_reduce(self, tensor: Tensor, operation: str) -> Tensor:
        if self.world_size == 1:
            return tensor
        staged = self._staged(tensor)
        dist.all_reduce(staged, getattr(dist.ReduceOp, operation), self.group)
        return staged.to(tensor.device)

    def _staged(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` where the group's backend can reach it: NCCL moves CUDA tensors only, gloo the CPU's."""
        backend = dist.get_backend(self.group)
        if "nccl" in backend and "gloo" not in backend:
            return tensor.to(torch.device("cuda", torch.cuda.current_device()))
        return tensor.cpu() if backend == "gloo" else tensor


def _who_is_missing(store: Any, keys: Sequence[str], rank: int, timeout: float) -> str:
    try:
        missing = [other for other, key in enumerate(keys) if not store.check([key])]
        store.delete_key(keys[rank])  # a rank that comes later must not take this one for present
    except RuntimeError:
        return (
            "The process group's store does not answer: rank 0, which hosts it, is dead or has left. "
            "Remedy: look for its error, then start again from the last checkpoint."
        )
    return (
        f"compute() is collective: every rank must call it. Ranks {missing} of {len(keys)} did not within "
        f"{timeout:g} s. The usual cause is compute() under `if rank == 0` or `rank_zero_only`, or a rank that died. "
        "Remedy: call compute() on every rank, and log its value on one."
    )
