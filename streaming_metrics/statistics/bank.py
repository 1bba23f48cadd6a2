"""Bank: features kept as they are, sharded over ranks; all of them, or a reservoir that no order or rank can change."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from streaming_metrics.arguments import check_flag, check_integer
from streaming_metrics.deferred import require
from streaming_metrics.features import Features
from streaming_metrics.statistics.base import LARGEST, State, Statistic, check_column, unless
from streaming_metrics.statistics.index import hashed_clusters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streaming_metrics.distributed.comm import Comm

CHUNK = 4096


@dataclass(frozen=True)
class Bank(Statistic):
    """Rows of a column with their index, and where asked for their labels, captions and other columns.

    The state is ``rows (n, D) float32``, ``index (n,) int64`` and, where asked for, ``labels (n,)`` and
    ``captions (n,)`` int64, and the columns beside, ``(n, W)`` float32 by name. Their storage
    doubles when full, so that adding a batch writes the batch alone. With a capacity, the rows kept are those with the
    smallest hashed index: a uniform sample of the stream that depends on the ids alone, not on order, batches or ranks.

    Args:
        num_features: D.
        capacity: the most rows to keep over all ranks; None keeps all.
        column: of which features.
        labels: L, with ``Features.labels`` in [0, L); None keeps none.
        captions: whether to keep ``Features.captions``.
        beside: name and width of each further column to keep, e.g. ``(("text", 512),)``.
        cluster: how many consecutive ids a reservoir keeps or drops together.

    Raises:
        ValueError: at update, where labels or captions are no such integers; nothing is added then.

    Example:
        >>> import torch
        >>> from streaming_metrics.features import Features
        >>> features = Features(pool=torch.arange(5.0).view(5, 1), index=torch.arange(5))
        >>> bank = Bank(1, capacity=3)
        >>> bank.update(bank.empty(), features)["rows"].shape
        torch.Size([3, 1])
    """

    num_features: int
    capacity: int | None = None
    column: str = "pool"
    labels: int | None = None
    captions: bool = False
    beside: tuple[tuple[str, int], ...] = ()
    cluster: int = 1

    def __post_init__(self) -> None:
        check_integer("num_features", self.num_features, least=1)
        check_integer("capacity", self.capacity, least=1, optional=True)
        check_column(self.column)
        check_integer("labels", self.labels, least=1, optional=True)
        check_flag("captions", self.captions)
        check_integer("cluster", self.cluster, least=1)
        for column, width in self.beside:
            check_column(column)
            check_integer(f"width of {column}", width, least=1)

    is_sharded: ClassVar[bool] = True
    rounds: ClassVar[bool] = True

    @property
    def name(self) -> str:
        capacity = "" if self.capacity is None else f"_{self.capacity}"
        labels = "" if self.labels is None else f"_labels_{self.labels}"
        beside = "".join(f"_and_{column}_{width}" for column, width in self.beside) + "_captions" * self.captions
        clusters = "" if self.cluster == 1 else f"_clusters_{self.cluster}"
        return f"bank_{self.num_features}{capacity}{unless('pool', self.column)}{labels}{beside}{clusters}"

    def keys(self, index: Tensor) -> Tensor:
        """Return int64 keys, of which a reservoir keeps the smallest."""
        return hashed_clusters(index, self.cluster)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, *self._of_samples, *(column for column, _ in self.beside))

    @property
    def _of_samples(self) -> tuple[str, ...]:
        """The columns of samples that it keeps."""
        return ("labels",) * (self.labels is not None) + ("captions",) * self.captions

    @property
    def _widths(self) -> dict[str, int]:
        """The width of each tensor of floats, by its name in the state."""
        return {"rows": self.num_features, **dict(self.beside)}

    def empty(self, device: torch.device | str = "cpu") -> State:
        floats = {key: torch.empty(0, width, dtype=torch.float32, device=device) for key, width in self._widths.items()}
        integers = {key: torch.empty(0, dtype=torch.int64, device=device) for key in ("index", *self._of_samples)}
        return {"rows": floats.pop("rows"), **integers, **floats}

    def update(self, state: State, features: Features) -> State:
        return self.staged(state, features)()

    def staged(self, state: State, features: Features) -> Callable[[], State]:
        assert features.index is not None
        room = len(features) if self.capacity is None else self.capacity - len(state["index"])
        batch = {"rows": self.rows_of(features).to(torch.float32), "index": features.index}
        if self.labels is not None:
            batch["labels"] = check_labels(features.labels, len(features), self.labels)
        if self.captions:
            batch["captions"] = check_captions(features.captions, len(features))
        for column, _ in self.beside:
            batch[column] = self.rows_of(features, column).to(torch.float32)
        grown = {key: append(state[key], column[:room]) for key, column in batch.items()}
        return exchange(grown, {key: column[room:] for key, column in batch.items()}, self.keys)

    def merge(self, states: Sequence[State]) -> State:
        merged = {key: torch.cat([state[key] for state in states]) for key in states[0]}
        if self.capacity is None or len(merged["index"]) <= self.capacity:
            return merged
        kept = self.keys(merged["index"]).topk(self.capacity, largest=False).indices
        return {key: column[kept] for key, column in merged.items()}

    def all_reduce(self, state: State, comm: Comm) -> State:
        """Return this rank's shard of the merge: its own rows, without those that other ranks' ids displace."""
        if self.capacity is None:
            return state
        counts = comm.counts(len(state["index"]))
        if sum(counts) <= self.capacity:
            return state
        chosen = comm.gather(self.keys(state["index"]), counts).argsort(stable=True)[: self.capacity]
        mine = chosen - sum(counts[: comm.rank])
        mine = mine[(mine >= 0) & (mine < counts[comm.rank])]
        return {key: column[mine] for key, column in state.items()}

    def replicate(self, state: State, comm: Comm) -> State:
        shard = self.all_reduce(state, comm)
        counts = comm.counts(len(shard["index"]))
        return {key: _whole(column, counts, comm) for key, column in shard.items()}

    def share(self, state: State, rank: int, world_size: int) -> State:
        return {key: column[rank::world_size] for key, column in state.items()}

    def check(self, state: State) -> None:
        super().check(state)
        sizes = {len(column) for column in state.values()}
        if len(sizes) > 1 or (self.capacity is not None and max(sizes) > self.capacity):
            raise ValueError(
                f"State {self.name}: expected {' and '.join(state)} of one length within the capacity, got {sizes}."
            )
        self._expect((state["index"] >= 0).all(), "ids that are not negative")
        if self.labels is not None:
            check_labels(state["labels"], len(state["labels"]), self.labels)
        for key in self._widths if len(state["rows"]) else ():
            low, high = state[key].aminmax()
            self._expect(low > -LARGEST and high < LARGEST, f"features below {LARGEST:g}")

    def bounds(self, state: State) -> tuple[float, float]:
        kept = len(state["index"])
        return kept, inf if kept == self.capacity else kept


def bank_features(bank: Bank, state: State) -> Iterator[Features]:
    """Yield what a bank holds as the features that it was given, some thousand at a time."""
    columns = {"rows": bank.column or "pool"}
    named = {columns.get(key, key): column for key, column in state.items()}
    for start in range(0, len(state["index"]), CHUNK):
        yield Features(**{name: column[start : start + CHUNK] for name, column in named.items()})


def check_labels(labels: Tensor | None, n: int, num_labels: int) -> Tensor:
    """Return labels; raise unless they are int64 ``(n,)`` in ``[0, num_labels)``. Those that a device is still to check
    are clamped to that range, since they are places in tables.
    """
    if labels is None or labels.dtype != torch.int64 or labels.shape != (n,):
        got = "none" if labels is None else f"{labels.dtype} of shape {tuple(labels.shape)}"
        raise ValueError(f"labels: expected int64 of shape ({n},), got {got}. Remedy: give each sample's class.")
    ends = torch.stack(labels.aminmax()) if n else labels.new_zeros(2)

    def why() -> Exception:
        low, high = ends.tolist()
        return ValueError(
            f"labels: expected classes in [0, {num_labels}), got {low} to {high}. "
            "Remedy: number the classes from 0, and say how many there are."
        )

    is_late = require(((ends >= 0) & (ends < num_labels)).all(), why)
    return labels.clamp(0, num_labels - 1) if is_late else labels


def check_captions(captions: Tensor | None, n: int) -> Tensor:
    """Return hashes of captions; raise unless they are int64 ``(n,)``."""
    if captions is None or captions.dtype != torch.int64 or captions.shape != (n,):
        got = "none" if captions is None else f"{captions.dtype} of shape {tuple(captions.shape)}"
        raise ValueError(
            f"captions: expected int64 of shape ({n},), got {got}. Remedy: caption_hashes(texts) of each sample's text."
        )
    return captions


def append(column: Tensor, batch: Tensor) -> Tensor:
    """Return ``column`` with ``batch`` below, in place while its storage has room, which doubles when it has not;
    ``column`` itself ends where it did.
    """
    n, total = len(column), len(column) + len(batch)
    needed = (column.storage_offset() + total * column.stride(0)) * column.element_size()
    if needed > column.untyped_storage().nbytes():
        grown = column.new_empty(max(total, 2 * n), *column.shape[1:])
        grown[:n] = column
        column = grown
    column = column.as_strided((total, *column.shape[1:]), column.stride())
    column[n:] = batch
    return column


def _whole(column: Tensor, counts: Sequence[int], comm: Comm) -> Tensor:
    """Return a column of all ranks, in their order: rows of floats go around, integers are added into place."""
    if column.ndim == 1:
        return comm.gather(column, counts)
    shards = sorted(comm.ring(column, counts), key=lambda visit: visit[0])
    return torch.cat([rows for _, rows in shards])


def exchange(state: State, batch: State, keys: Callable[[Tensor], Tensor]) -> Callable[[], State]:
    """Return what lets the batch's smallest keys displace a full reservoir's largest, pair by pair: no key is looked at
    on the host.
    """
    pairs = min(len(batch["index"]), len(state["index"]))
    if not pairs:
        return lambda: state
    there, here = keys(state["index"]), keys(batch["index"])
    slots, arrivals = there.topk(pairs).indices, here.topk(pairs, largest=False).indices
    enters = here[arrivals] < there[slots]
    masks = {key: enters.view(-1, *[1] * (column.ndim - 1)) for key, column in state.items()}
    rows = {key: torch.where(masks[key], batch[key][arrivals], column[slots]) for key, column in state.items()}

    def write() -> State:
        for key, column in state.items():
            column[slots] = rows[key]
        return state

    return write
