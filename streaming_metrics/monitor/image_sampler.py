"""Image sampler: asks a model for images by a method or a callable, under a seed, and checks what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from streaming_metrics.images.batches import as_uint8, name_of, pixels_of
from streaming_metrics.monitor.untouched import untouched
from streaming_metrics.sampling import isolated_rng

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from streaming_metrics.images.ranges import Reach


@dataclass(frozen=True)
class ImageSampler:
    """Sampler that draws images from a model.

    Args:
        sample: a method's name, ``method(n)``, or a callable ``(model, n)``; either may have a parameter ``batch``.
        value_range: what floats stand for black and white.
        reach: takes note of how dark and bright the images are.

    Example:
        >>> import torch
        >>> noise = ImageSampler(lambda model, n: torch.rand(n, 3, 8, 8), value_range=(0, 1))
        >>> images = noise.draw(None, n=4, seed=0)
        >>> images.shape, images.dtype, noise.is_conditional(None)
        (torch.Size([4, 3, 8, 8]), torch.uint8, False)
    """

    sample: str | Callable[..., Tensor]
    value_range: tuple[float, float]
    reach: Reach | None = None

    def bind(self, model: Any) -> Callable[..., Any]:
        """Return the function from n, and perhaps a batch, to images; raise ValueError where the model has none."""
        if not isinstance(self.sample, str):
            return partial(self.sample, model)
        method = getattr(model, self.sample, None)
        if not callable(method):
            raise ValueError(
                f"sample={self.sample!r}: {type(model).__name__} has no such method. Remedy: define "
                f"`def {self.sample}(self, n)` returning n images, give sample= a callable (pl_module, n), or fake_key."
            )
        return method

    def is_conditional(self, model: Any) -> bool:
        """Return whether images are drawn for a batch, rather than from nothing."""
        return "batch" in signature(self.bind(model)).parameters

    def taken(self, images: Tensor, n: int) -> Tensor:
        """Return n images that a validation step made itself, uint8 ``(n, 3, H, W)``; raises as :meth:`draw` does."""
        return pixels_of(images, self.value_range, "fake_key", n, self.reach)

    def draw(self, model: Any, n: int, seed: int, batch: Any = None) -> Tensor:
        """Return n images, uint8 ``(n, 3, H, W)``.

        Args:
            model: what is asked.
            n: how many images.
            seed: of all randomness inside, of generators that the model holds too; outside, none is used up, and the
                model is left as it was: see :func:`~streaming_metrics.monitor.untouched.untouched`.
            batch: conditions, for a sampler that takes them.

        Raises:
            TypeError, ValueError: where number, shape, dtype or range is not as expected.
        """
        given = {"batch": batch} if self.is_conditional(model) else {}
        with isolated_rng(seed), untouched(model, self.sample, seed=seed):
            images = self.bind(model)(n, **given)
            # A copy: they may be a buffer of the model's, which is put back.
            return as_uint8(images, self.value_range, f"sample={name_of(self.sample)}", n, self.reach).clone()
