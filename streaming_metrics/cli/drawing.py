"""Drawing from checkpoints: their images go into a metric as they are drawn, and what fails is told on every rank."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

from streaming_metrics.cli.reading import ReadResult, digest_of_image
from streaming_metrics.cli.terminal import reading_bar
from streaming_metrics.images.ranges import Span, range_warning

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.core.shell import GenerativeMetrics
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.images.generated import Generated


class NotDrawn(RuntimeError):
    """A checkpoint that does not load, or whose sampler fails."""


def sampler_at(text: str) -> Callable[..., Any]:
    """Return the function from a checkpoint's path to what draws, ``package.module:function``.

    Raises:
        FileNotFoundError: where there is no such module or function.
        TypeError: where it is none.
    """
    from streaming_metrics.images import imported

    try:
        function = imported(text)
    except FileNotFoundError as error:
        why = error.__cause__ or error
        raise FileNotFoundError(f"--sampler: expected package.module:function, got {text!r}: {why}.") from error
    if not callable(function):
        raise TypeError(f"--sampler {text}: expected a function from a checkpoint's path, got {function!r}.")
    return function


def draw_into(
    metric: GenerativeMetrics, images: Generated, comm: Comm, *, what: str = "", shown: bool = False
) -> ReadResult:
    """Add a checkpoint's images to a metric, each rank its share; return what they were, over ranks; collective.

    Raises:
        NotDrawn: on every rank, with the first error of any.
    """
    outcome, failure = ReadResult(), ""
    with reading_bar(what, len(images), shown=shown) as advance:
        try:
            for drawn, index in images.batches(comm.rank, comm.world_size):
                metric.update(drawn, role="fake", index=index)
                outcome += ReadResult(len(drawn), [], sum(map(digest_of_image, drawn.pixels.cpu())))
                advance(min(len(drawn) * comm.world_size, len(images)))
            metric.settle()
        except Exception as error:  # whatever a user's function raises is told, and the others are scored
            failure = f"{type(error).__name__}: {error}"
    failures = [json.loads(told) for told in comm.rendezvous(json.dumps(failure), f"draw_into({images.path!r})")]
    if any(failures):
        raise NotDrawn(next(filter(None, failures)))
    _warn_of_range(images, comm)
    return outcome.over(comm)


def _warn_of_range(images: Generated, comm: Comm) -> None:
    """Warn where floats seem to be of another range than was told; collective."""
    reached = Span(*comm.max(images.reach.extremes()).tolist())
    if said := range_warning(Span(0, 0, 0), reached, images.how.value_range, images.how.value_range):
        warnings.warn(f"{images.path}: {said}", stacklevel=2)
