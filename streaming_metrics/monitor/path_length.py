"""Latent generator: what torchmetrics' perceptual path length walks through, made of a model in training."""

from __future__ import annotations

from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from streaming_metrics.images.batches import name_of
from streaming_metrics.images.forms import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class LatentGenerator(nn.Module):
    """Generator of images in [0, 255] from latents, around one that makes them in another range.

    It holds no module as its own: a metric that keeps it neither moves nor copies the model.

    Args:
        generator: ``sample(n)`` returns latents ``(n, z)``; called with latents, and labels where the metric is
            conditional (then ``num_classes`` says how many there are), it returns float images ``(n, 3 or 1, H, W)``.
        value_range: what its floats stand for black and white by.

    Example:
        >>> import torch
        >>> class Grey(nn.Module):
        ...     def sample(self, n):
        ...         return torch.zeros(n, 2)
        ...     def forward(self, latents):
        ...         return latents.sum(1).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
        >>> LatentGenerator(Grey(), (-1, 1))(torch.zeros(5, 2)).unique()
        tensor([127.5000])
    """

    def __init__(self, generator: Any, value_range: tuple[float, float]) -> None:
        super().__init__()
        self._held: Any = (generator,)
        self.value_range = value_range

    @property
    def num_classes(self) -> int:
        """The classes of a conditional generator."""
        return self._held[0].num_classes

    def sample(self, n: int) -> Tensor:
        """Return n latents."""
        latents = self._held[0].sample(n)
        if not isinstance(latents, Tensor) or latents.ndim != 2 or len(latents) != n:
            raise ValueError(
                f"generator: Expected {n} latents, a tensor ({n}, z), of its sample({n}), got {describe(latents)}. "
                "Remedy: def sample(self, n) that returns latents, and forward(latents) that makes images of them."
            )
        return latents

    def forward(self, latents: Tensor, *labels: Tensor) -> Tensor:
        """Return the images of latents, not rounded: neighbours on a path differ by less than a level."""
        images = self._held[0](latents, *labels)
        is_shaped = isinstance(images, Tensor) and images.ndim == 4 and images.shape[1] in (1, 3)
        if not is_shaped or not images.is_floating_point():
            raise ValueError(
                f"generator: Expected float images ({len(latents)}, 3, H, W) of latents, got {describe(images)}. "
                "Remedy: the images before they are rounded, channels first."
            )
        low, high = self.value_range
        return ((images.float() - low) * (255 / (high - low))).expand(-1, 3, -1, -1)

    def release(self) -> None:
        """Let go of the model."""
        self._held = ()


@contextmanager
def latent_generator(
    model: Any, found: str | Callable[[Any], Any], value_range: tuple[float, float]
) -> Iterator[LatentGenerator]:
    """Yield the latent generator of a model, which is let go of afterwards.

    Args:
        model: in training.
        found: the name of its part, ``"generator"`` or ``"gan.generator"``, or a callable from the model.
        value_range: of the images that it makes.

    Raises:
        ValueError: where there is none.
    """
    try:
        generator = attrgetter(found)(model) if isinstance(found, str) else found(model)
    except AttributeError:
        generator = None
    if not (callable(generator) and callable(getattr(generator, "sample", None))):
        raise ValueError(
            f"generator={name_of(found)}: Expected a part of {type(model).__name__} with sample(n) to latents and "
            f"forward(latents) to images, got {describe(generator)}. Remedy: its name, or a function from the module."
        )
    latent = LatentGenerator(generator, value_range)
    try:
        yield latent
    finally:
        latent.release()
