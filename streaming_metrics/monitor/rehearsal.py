"""Rehearsal of a measurement: mistakes show on a few images, and counts that cannot do are told, before any work."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from inspect import signature
from math import inf
from typing import TYPE_CHECKING, Any

from streaming_metrics.features import Spec
from streaming_metrics.files.npz import UNKNOWN
from streaming_metrics.measures.base import Side, Sides
from streaming_metrics.monitor.sides import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics import GenerativeMetrics, Measure
    from streaming_metrics.features import Role


class Rehearsal:
    """Rehearsal: keeps what went wrong with a few images until every rank can tell.

    Attributes:
        is_done: whether there was an attempt.
        has_generated: whether images were generated, and went through without an error.

    Example:
        >>> rehearsal = Rehearsal()
        >>> with rehearsal.attempt():
        ...     raise ValueError("expected images")
        >>> rehearsal.conclude(agree=bool)
        Traceback (most recent call last):
        ValueError: expected images
    """

    def __init__(self) -> None:
        self.is_done = self.has_generated = False
        self._error: Exception | None = None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Keep an error that is raised inside, the first of several."""
        self.is_done = True
        try:
            yield
        except Exception as error:
            self._error = self._error or error

    def conclude(self, agree: Callable[[bool], bool]) -> None:
        """Raise on every rank if there was an error on one; collective.

        Args:
            agree: whether something holds on all ranks.
        """
        error, self._error = self._error, None
        if not agree(error is None):
            raise error or RuntimeError("The rehearsal of a measurement failed on another rank. Remedy: see its error.")


def refuse_uncallable(function: Callable[..., Any], source: str, is_conditional: bool) -> None:
    """Raise ValueError where a sampler cannot be called with a number of images, and a batch if it takes one.

    Args:
        function: what is called.
        source: how the user gave it, for the error.
        is_conditional: whether it takes a batch.

    Example:
        >>> refuse_uncallable(lambda mu, log_var: None, "sample='sample'", is_conditional=False)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: sample='sample': expected a function of the number of images, n, got (mu, log_var). Remedy: ...
    """
    try:
        signed = signature(function)
    except (TypeError, ValueError):  # of a built-in, which does not say
        return
    try:
        signed.bind(1, **({"batch": None} if is_conditional else {}))
    except TypeError:
        raise ValueError(
            f"{source}: expected a function of the number of images, n, got "
            f"({', '.join(signed.parameters)}). Remedy: a method `def sample(self, n)`, or a callable (pl_module, n), "
            "that returns n images; for conditions from the validation batch, a parameter named `batch`."
        ) from None


def refuse_too_few(measures: Sequence[Measure], known: Mapping[Role, int | None]) -> None:
    """Raise NotEnoughSamples where a measure is not defined on so many images.

    Args:
        measures: what is to be computed.
        known: numbers of images by role; None, or no such role, for unknown.

    Example:
        >>> from streaming_metrics import KID
        >>> refuse_too_few([KID()], {"real": 40, "fake": 10_000})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        streaming_metrics.measures.base.NotEnoughSamples: KID needs at least 1000 real samples, got 40. Remedy: ...
    """
    counts = {**dict.fromkeys(("real", "fake", *KEPT)), **known}
    sides = Sides({role: Side(role, UNKNOWN if n is None else n, {}) for role, n in counts.items()}, Spec())
    for measure in measures:
        with suppress(KeyError):  # a measure that must look at states can tell only once it has some
            measure.check(sides)


def possible_values(metric: GenerativeMetrics, say: Callable[[str], Any]) -> dict[str, Tensor]:
    """Return what can be computed of a few samples, and say what cannot; collective.

    Args:
        metric: with some samples.
        say: takes a line for each measure that is left out.
    """
    values, reasons = metric.compute_possible()
    for reason in reasons:
        say(f"fast_dev_run: {reason} It is not logged.")
    return values


def known_number(loader: Any, first: int, most: float = inf, world_size: int = 1) -> int | None:
    """Return how many images come from a loader at most, over all ranks; None where that cannot be known.

    Args:
        loader: of one rank.
        first: images in its first batch; unless they are as many as its items, an item is not one image.
        most: batches that are read.
        world_size: ranks that read such a loader.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> known_number(DataLoader(range(40), batch_size=8), first=8), known_number(DataLoader(range(40)), first=4)
        (40, None)
    """
    try:
        items, batch_size = len(loader.sampler), loader.batch_size
    except (AttributeError, TypeError):
        return None
    if batch_size is None or first != min(batch_size, items):
        return None
    return world_size * int(min(items, batch_size * most))
