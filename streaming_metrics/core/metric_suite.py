"""Metric suite: metrics of torchmetrics that are fed the same batches, and meet the other ranks once a value."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from streaming_metrics.core.given_metrics import metrics_by_key, parts_of, scalar_of_metric
from streaming_metrics.core.metric_states import gathered, holding, merged, set_state, state_of
from streaming_metrics.measures.keys import declare
from streaming_metrics.precision import full_precision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from streaming_metrics.core.given_metrics import Metric, MetricsGiven
    from streaming_metrics.core.metric_states import State
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.measures.base import Scalar
    from streaming_metrics.measures.torchmetrics_names import Named

MEAN_FIRST = "PerceptualPathLength"
"""A metric that returns mean, deviation and all distances."""


class MetricSuite:
    """Suite of torchmetrics' metrics, by the keys of their values.

    Each keeps its own states, in float32 whatever the precision around it, and is neither synchronised nor moved by
    anybody else. Ranks may have other numbers of batches, or none.

    Args:
        given: see :func:`~streaming_metrics.core.given_metrics.metrics_by_key`.
        known: what names there are.
        source: names the argument in errors.
        group: the heading under which reports show the values.

    Attributes:
        metrics: by key.

    Example:
        >>> from streaming_metrics.distributed.comm import Comm
        >>> from streaming_metrics.measures.torchmetrics_names import PAIRED
        >>> suite = MetricSuite("mse", PAIRED, "paired")
        >>> suite.update(torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.5))
        >>> suite.values(Comm())["mse"].item()
        0.25
    """

    def __init__(
        self, given: MetricsGiven | None, known: Mapping[str, Named], source: str, group: str = "paired"
    ) -> None:
        self.source, self.metrics, self.group = source, metrics_by_key(given, known, source), group
        self._batches = 0  # which metrics count themselves, but not wrappers of others
        for part in self._parts():
            part.distributed_available_fn = _never

    def __bool__(self) -> bool:
        return bool(self.metrics)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the values."""
        return tuple(self.metrics)

    @property
    def scalars(self) -> list[Scalar]:
        """What is known of each value."""
        return [scalar_of_metric(key, metric) for key, metric in self.metrics.items()]

    @property
    def device(self) -> torch.device:
        """The device that the metrics compute on."""
        return next(iter(self.metrics.values())).device if self.metrics else torch.device("cpu")

    def refuse_keys(self, taken: Iterable[str]) -> None:
        """Raise ValueError where a value has the key of another."""
        shared = sorted({*taken} & {*self.keys})
        if shared:
            raise ValueError(
                f"{self.source}: two metrics yield {', '.join(shared)}. Remedy: another key, {{key: metric}}; on the "
                "command line, a class of another name."
            )

    def declare(self) -> None:
        """Make known to what draws charts what the values are, whose keys are free; ValueError for a measure's key."""
        with self._naming():
            declare(self.scalars, self.group)

    def to(self, device: torch.device | str) -> MetricSuite:
        """Move the metrics, and their networks, to a device."""
        for metric in self.metrics.values():
            metric.to(device)
        return self

    def reset(self) -> None:
        """Forget all batches."""
        self._batches = 0
        for part in self._parts():
            part.reset()

    def set_aside(self) -> tuple[int, list[State]]:
        """Return all batches, for :meth:`put_back`, and forget them; no copies."""
        kept = self._batches, [state_of(part) for part in self._parts()]
        self.reset()
        return kept

    def put_back(self, batches: tuple[int, list[State]]) -> None:
        """Hold batches that were set aside, in place of others."""
        self._batches, states = batches
        for part, state in zip(self._parts(), states):
            set_state(part, state)

    def update(self, *batch: Any) -> None:
        """Give every metric a batch; tensors go to the metrics' device.

        Raises:
            TypeError, ValueError, RuntimeError: what a metric says of it, and which one it is.
        """
        self._batches += 1
        moved = [one.to(self.device) if isinstance(one, Tensor) else one for one in batch]
        with full_precision(self.device):
            for key, metric in self.metrics.items():
                with self._naming(key):
                    metric.update(*moved)

    def values(self, comm: Comm) -> dict[str, Tensor]:
        """Return each metric's value over all ranks, float64 ``()``; none where no rank had a batch; collective.

        The first rank that had a batch computes, from the states of all that had one: zeros of the others would count
        in a mean, and their metrics may lack what a first batch sets.

        Raises:
            TypeError, ValueError, RuntimeError: on every rank: what a metric says, and which one it is; ValueError,
                where it yields something else than one number.
        """
        if not self.metrics:
            return {}
        parts = list(self._parts())
        every = gathered([state_of(part) for part in parts] if self._batches else [], comm, self.device)
        heard = [rank for rank, states in enumerate(every) if states]
        if not heard:
            return {}
        values, failure = torch.zeros(len(self.metrics), dtype=torch.float64), None
        if comm.rank == heard[0]:
            try:
                values = self._computed(parts, [every[rank] for rank in heard])
            except Exception as error:
                failure = error
        failed, *summed = comm.sum(torch.cat([torch.tensor([failure is not None]), values]))
        if failed:
            raise failure or RuntimeError(f"{self.source}: a metric failed on rank {heard[0]}. Remedy: see its error.")
        return dict(zip(self.metrics, summed))

    def _computed(self, parts: Sequence[Any], every: Sequence[Sequence[State]]) -> Tensor:
        """Return the values of several ranks' states, ``(metrics,)``."""
        with holding(parts, [merged(part, of_part) for part, of_part in zip(parts, zip(*every))]):
            return torch.stack([*self.own_values().values()])

    def own_values(self) -> dict[str, Tensor]:
        """Return each metric's value of this rank's batches, as :meth:`values` does; no collective."""
        with full_precision(self.device):
            return {key: self._value(key, metric) for key, metric in self.metrics.items()}

    def _value(self, key: str, metric: Metric) -> Tensor:
        with self._naming(key):
            value = metric.compute()
        if isinstance(value, tuple) and value and type(metric).__name__ == MEAN_FIRST:
            value = value[0]
        if not isinstance(value, Tensor) or value.numel() != 1:
            told = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ValueError(
                f"{self.source}: {key}: expected one number, got {told}. Remedy: a reduction, e.g. reduction="
                '"elementwise_mean", or a metric for each number.'
            )
        return value.detach().reshape(()).to("cpu", torch.float64)

    def _parts(self) -> Iterator[Any]:
        """Yield the metrics, and those inside of them: each holds states of its own."""
        for metric in self.metrics.values():
            yield from parts_of(metric)

    @contextmanager
    def _naming(self, *keys: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            told = error if _speaks(error) else repr(error)
            raise _kind(error)(": ".join([self.source, *keys, str(told)])) from error


def _never() -> bool:
    return False


def _speaks(error: Exception) -> bool:
    """Return whether an error's text says what it is."""
    return bool(str(error)) and isinstance(error, (ValueError, TypeError, AttributeError, RuntimeError))


def _kind(error: Exception) -> type[Exception]:
    """Return a kind of error that a message alone makes."""
    return next((kind for kind in (ValueError, TypeError) if isinstance(error, kind)), RuntimeError)
