"""The one door to ``torch.distributed``: sums, extrema, a ring, and a roll call that names who is missing.

One process is the default: every collective is then the identity, so callers have one path.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from streaming_metrics.distributed.rendezvous import MissingRanks as MissingRanks
from streaming_metrics.distributed.rendezvous import Rendezvous

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

DEFAULT_TIMEOUT = 300.0
PATIENCE = 3600.0
"""Seconds that ranks wait for rank 0 to write: the radii of many features take long."""
FAILURES = {"OSError": OSError, "ValueError": ValueError, "RuntimeError": RuntimeError}


class Comm:
    """The ranks that share a metric's state.

    Args:
        group: a process group; None is the default group where one is initialised, else this process alone.
        timeout: seconds that :meth:`rendezvous` waits for the other ranks.

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
    def single(cls) -> Comm:
        """Return this process by itself, whatever group is initialised."""
        return cls(alone=True)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of ``tensor`` over ranks; ``tensor`` is consumed: it may be the result."""
        return self.start_sum(tensor)()

    def start_sum(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Start what :meth:`sum` does, and return what waits for it; the caller works while ``tensor`` travels.

        Every rank starts its sums in one order.
        """
        return self._all_reduce(tensor, "SUM")

    def min(self, tensor: Tensor) -> Tensor:
        """Return the elementwise minimum of ``tensor`` over ranks; ``tensor`` is consumed."""
        return self._all_reduce(tensor, "MIN")()

    def max(self, tensor: Tensor) -> Tensor:
        """Return the elementwise maximum of ``tensor`` over ranks; ``tensor`` is consumed."""
        return self._all_reduce(tensor, "MAX")()

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Return rank 0's ``tensor``, so that what was computed everywhere is the same bits everywhere."""
        return self.sum(tensor if self.rank == 0 else torch.zeros_like(tensor))

    def counts(self, n: int) -> list[int]:
        """Return every rank's ``n``."""
        mine = torch.zeros(self.world_size, dtype=torch.int64, device="cpu")
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
        with _together():
            requests = dist.batch_isend_irecv(transfers) if transfers else []
        yield buffer
        with _together():
            for request in requests:
                request.wait()
        if incoming is not buffer:
            buffer.copy_(incoming)

    def rendezvous(self, message: str = "", call: str = "compute()") -> list[str]:
        """Wait until every rank is here, and return what each of them says; see :class:`Rendezvous`.

        Args:
            message: what this rank says.
            call: what the ranks are to call, for errors.

        Raises:
            MissingRanks: naming the ranks that did not come within ``timeout`` seconds.
            ValueError: on a rank that is not in the group.
        """
        if self.world_size == 1:
            return [message]
        if self.rank < 0:
            raise ValueError(_OUTSIDE.format(call, dist.get_rank()))
        store = dist.distributed_c10d._get_default_store()
        return Rendezvous(store, self.group, name_of(self.group), self.rank, self.world_size, self.timeout, call)(
            message
        )

    def on_first(self, work: Callable[[], object], call: str) -> None:
        """Run ``work`` on rank 0, and return on every rank once it is done; collective.

        Raises:
            OSError, ValueError, RuntimeError: where it failed: what was raised, or on another rank, what it says.
            MissingRanks: where rank 0 was not done in time.
        """
        patient, failure = copy(self), ""
        patient.timeout = max(self.timeout, PATIENCE)
        try:
            if self.rank == 0:
                work()
        except BaseException as error:
            kind = next((name for name, kind in FAILURES.items() if isinstance(error, kind)), "RuntimeError")
            failure = f"{kind}: {error!r}"
            raise
        finally:
            kind, _, reason = patient.rendezvous(failure, call)[0].partition(": ")
        if kind:
            raise FAILURES[kind](f"{call}: rank 0 failed: {reason}")

    def _all_reduce(self, tensor: Tensor, operation: str) -> Callable[[], Tensor]:
        """Start an all-reduce, and return what waits for it."""
        if self.world_size == 1:
            return lambda: tensor
        staged = self._staged(tensor)
        with _together():
            request = dist.all_reduce(staged, getattr(dist.ReduceOp, operation), self.group, async_op=True)

        def finish() -> Tensor:
            with _together():
                request.wait()
            return staged.to(tensor.device)

        return finish

    def _staged(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` where the group's backend can reach it: NCCL moves CUDA tensors only, gloo the CPU's."""
        backend = dist.get_backend(self.group)
        if "nccl" in backend and "gloo" not in backend and not tensor.is_cuda:
            return tensor.to(torch.device("cuda", torch.cuda.current_device()))
        return tensor.cpu() if backend == "gloo" else tensor


def name_of(group: Any) -> str:
    """Return the name of a process group, the same on every rank of it; None is the group of all."""
    if group is None or not (dist.is_available() and dist.is_initialized()) or group is dist.group.WORLD:
        return "world"
    return getattr(group, "group_name", "not this rank's")


LAUNCHED = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


@contextmanager
def launched(timeout: float = DEFAULT_TIMEOUT) -> Iterator[Comm]:
    """Join the processes that torchrun started, and leave them on the way out; yield this one alone where it did not.

    Each process takes the CUDA device of its local rank, where there are such devices.

    Args:
        timeout: seconds that :meth:`Comm.rendezvous` waits for the other ranks.
    """
    if not os.environ.keys() >= LAUNCHED or dist.is_initialized():
        yield Comm(timeout=timeout)
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Comm(timeout=timeout)
    finally:
        dist.destroy_process_group()


@contextmanager
def _together() -> Iterator[None]:
    """Say in plain words what a backend reports where a rank leaves, or lags behind, in the middle of a collective."""
    try:
        yield
    except RuntimeError as error:
        raise MissingRanks(_LEFT.format(error)) from error


_OUTSIDE = (
    "{0}: expected a process_group= that this rank is in, got one without rank {1}. Remedy: call it on the group's "
    "ranks only, or build the metric with a group of all that call it."
)
_LEFT = (
    "A rank left, or lagged behind, in the middle of compute(): the process group reports {0!r}. This rank's samples "
    "are as they were. Remedy: look for the first error among the ranks' outputs; start again from the last checkpoint."
)
