"""Generated images: what a function draws from a checkpoint, chunk by chunk; none is stored."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from streaming_metrics.images.base import Images
from streaming_metrics.images.image_sampler import ImageSampler
from streaming_metrics.images.ranges import Reach
from streaming_metrics.sampling import Chunk, chunks, seed_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from streaming_metrics.images.conversion import CheckedImages, Takes

KEPT = 4
"""Chunks that are at hand when single images are asked for."""


@dataclass(frozen=True)
class Drawing:
    """Drawing of images: how many of each checkpoint, and how; the same for all, so that their seeds are.

    Args:
        num_samples: over all ranks.
        batch_size: of a call; another one draws other images.
        seed: of all randomness.
        value_range: what floats stand for black and white.
        device: where to draw.
        takes: ``"images"``, or ``"clips"``.
    """

    num_samples: int = 10_000
    batch_size: int = 64
    seed: int = 0
    value_range: tuple[float, float] = (0, 1)
    device: str = "cpu"
    takes: Takes = "images"

    @property
    def words(self) -> str:
        """What decides, beside the model, which image is which."""
        of = f"{self.num_samples} of seed {self.seed}, batches of {self.batch_size}"
        return f"{of}, range {self.value_range}, on {self.device.partition(':')[0]}"  # whose noise is its own


class Generated(Images):
    """Images of one checkpoint: image i is of the same seed for all checkpoints, on any number of ranks.

    ``load(path)`` returns what draws: a function of ``n``, or an object with a method ``sample(n)``, such as the
    ``LightningModule`` that the checkpoint is of. Either returns n images as ``sample=`` of
    :class:`~streaming_metrics.monitor.GenerationMonitor` does: uint8 or float in ``value_range``, ``(n, 3 or 1, H,
    W)``, PIL images, arrays with channels last, or a pipeline's output. A module is moved to the device and put into
    evaluation mode; a ``load`` with a parameter ``device`` is told it. Global randomness of Python, NumPy and PyTorch
    is seeded before each call, and so are generators that the object holds.

    Args:
        path: of the checkpoint.
        load: from the path to what draws.
        how: how many, and by which seeds.

    Example:
        >>> noise = Generated("a.ckpt", lambda path: lambda n: torch.rand(n, 3, 8, 8), Drawing(10, batch_size=4))
        >>> [index.tolist() for _, index in noise.batches(rank=1, world_size=2)]
        [[4, 5, 6, 7]]
        >>> images, _ = next(noise.batches())
        >>> len(noise), noise.name(9), torch.equal(noise[2], images.pixels[2])
        (10, 'a.ckpt, sample 9', True)
    """

    def __init__(self, path: str, load: Callable[..., Any], how: Drawing) -> None:
        self.path, self.how, self.reach = path, how, Reach()
        self._load, self._model, self._sampler = load, None, None
        self._drawn: OrderedDict[int, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return self.how.num_samples

    def name(self, i: int) -> str:
        """Return what errors and listings call image i."""
        return f"{self.path}, sample {i}"

    def __getitem__(self, i: int) -> Tensor:
        """Return image i, drawn anew."""
        start = i - i % self.how.batch_size
        if start not in self._drawn:
            size = min(self.how.batch_size, len(self) - start)
            chunk = Chunk(start, size, seed_of(self.how.seed, start // self.how.batch_size))
            self._drawn[start] = self._draw(chunk).pixels.cpu()
            while len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)
        return self._drawn[start][i - start]

    def batches(self, rank: int = 0, world_size: int = 1) -> Iterator[tuple[CheckedImages, Tensor]]:
        """Yield this rank's images, with their numbers ``(n,)``.

        Raises:
            Exception: whatever the function raises.
            TypeError, ValueError: where it returns something else than so many images of the range.
        """
        for chunk in chunks(len(self), self.how.batch_size, rank, world_size, self.how.seed):
            yield self._draw(chunk), chunk.index

    def release(self) -> None:
        """Let go of the model; it is loaded again when an image is asked for."""
        self._model = self._sampler = None
        self._drawn.clear()

    def _draw(self, chunk: Chunk) -> CheckedImages:
        with torch.no_grad():
            if self._sampler is None:
                self._model, self._sampler = self._loaded()
            return self._sampler.draw(self._model, chunk.size, chunk.seed)

    def _loaded(self) -> tuple[Any, ImageSampler]:
        known = signature(self._load).parameters
        found = self._load(self.path, **({"device": self.how.device} if "device" in known else {}))
        if isinstance(found, nn.Module):
            found.to(self.how.device).eval()
        function = getattr(found, "sample", None if isinstance(found, nn.Module) else found)
        if not callable(function):
            raise ValueError(
                f"sampler: expected a function of the number of images, n, or an object with a method sample(n), of "
                f"{self.path}, got {type(found).__name__}. Remedy: return the model's own: lambda n: model(noise(n))."
            )
        how = self.how
        return found, ImageSampler(lambda _, n: function(n), how.value_range, self.reach, takes=how.takes, name="")
