"""Draws: one rank's share of generated images, up to one number of samples after another."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from streaming_metrics.images.conversion import CheckedImages
    from streaming_metrics.sampling import Chunk


class Draws:
    """Draws of a rank: chunk by chunk; what a chunk holds beyond a number of samples waits for the next number.

    A chunk is drawn whole, since its images depend on how many are drawn together, and not before it is needed.

    Args:
        chunks: of this rank, in the order of their samples.
        draw: returns the images of one.

    Example:
        >>> import torch
        >>> from streaming_metrics.images.conversion import CheckedImages
        >>> from streaming_metrics.sampling import chunks
        >>> grey = lambda chunk: CheckedImages(torch.zeros(chunk.size, 3, 8, 8, dtype=torch.uint8))
        >>> draws = Draws(chunks(10, batch_size=4), grey)
        >>> [[index.tolist() for _, index in draws.until(n)] for n in (5, 10)]
        [[[0, 1, 2, 3], [4]], [[5, 6, 7], [8, 9]]]
    """

    def __init__(self, chunks: Iterable[Chunk], draw: Callable[[Chunk], CheckedImages]) -> None:
        self._chunks, self._draw = deque(chunks), draw
        self._waiting: tuple[CheckedImages, Tensor] | None = None

    def until(self, num_samples: int) -> Iterator[tuple[CheckedImages, Tensor]]:
        """Yield images and their ids ``(n,)``, those below ``num_samples`` over all ranks that were not yielded."""
        while self._waiting or (self._chunks and self._chunks[0].start < num_samples):
            if self._waiting is None:
                chunk = self._chunks.popleft()
                self._waiting = self._draw(chunk), chunk.index
            images, index = self._waiting
            inside = index < num_samples
            if not inside.any():
                return
            self._waiting = None if inside.all() else (images[~inside], index[~inside])
            yield (images if self._waiting is None else images[inside]), index[inside]
