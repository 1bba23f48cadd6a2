"""Image sampler: asks a model for images by a method or a callable, under a seed, and checks what it returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from streaming_metrics.deferred import collecting
from streaming_metrics.images.batches import apart, as_uint8, name_of
from streaming_metrics.images.captions import captions_apart, find_captions
from streaming_metrics.images.columns import checked_columns, refuse_missing
from streaming_metrics.images.conversion import CheckedImages, Takes
from streaming_metrics.sampling import isolated_rng
from streaming_metrics.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from streaming_metrics.images.batches import Key
    from streaming_metrics.images.ranges import Reach


@dataclass(frozen=True)
class ImageSampler:
    """Sampler that draws images from a model.

    Args:
        sample: a method's name, ``method(n)``, or a callable ``(model, n)``; either may have a parameter ``batch``, and
            return ``(images, columns)``, e.g. ``(images, {"labels": labels})``.
        value_range: what floats stand for black and white.
        reach: takes note of how dark and bright the images are.
        needed: columns that must come with the images, e.g. ``("labels",)``.
        caption_key: where captions are in a batch, of images that come with none of their own; None for nowhere.
        takes: what networks take of it, ``"images"`` or ``"clips"``.
        name: by which the user gave it; empty for none.

    Example:
        >>> import torch
        >>> noise = ImageSampler(lambda model, n: torch.rand(n, 3, 8, 8), value_range=(0, 1))
        >>> images = noise.draw(None, n=4, seed=0)
        >>> images.pixels.shape, images.pixels.dtype, noise.is_conditional(None)
        (torch.Size([4, 3, 8, 8]), torch.uint8, False)
    """

    sample: str | Callable[..., Any]
    value_range: tuple[float, float]
    reach: Reach | None = None
    needed: tuple[str, ...] = ()
    caption_key: Key | None = None
    takes: Takes = "images"
    name: str = ""

    @property
    def source(self) -> str:
        """What errors call it."""
        return f"sample[{self.name!r}]={name_of(self.sample)}" if self.name else f"sample={name_of(self.sample)}"

    def bind(self, model: Any) -> Callable[..., Any]:
        """Return the function from n, and perhaps a batch, to images; raise ValueError where the model has none."""
        if not isinstance(self.sample, str):
            return partial(self.sample, model)
        method = getattr(model, self.sample, None)
        if not callable(method):
            raise ValueError(
                f"{self.source}: {type(model).__name__} has no such method. Remedy: define "
                f"`def {self.sample}(self, n)` returning n images, give sample= a callable (pl_module, n), or fake_key."
            )
        return method

    def is_conditional(self, model: Any) -> bool:
        """Return whether images are drawn for a batch, rather than from nothing."""
        return "batch" in signature(self.bind(model)).parameters

    def taken(
        self,
        images: Tensor,
        own: Mapping[str, Any],
        n: int,
        beside: Mapping[str, Any] | None = None,
        batch: Any = None,
    ) -> CheckedImages:
        """Return n images that a validation step made itself; raises as :meth:`draw` does.

        Args:
            images: of the step.
            own: columns that came with them.
            n: how many images.
            beside: columns of the batch that they belong to, where they come with none of their own.
            batch: that batch.
        """
        return self._checked(images, own, n, beside, "fake_key", batch)

    def draw(
        self, model: Any, n: int, seed: int, batch: Any = None, beside: Mapping[str, Any] | None = None
    ) -> CheckedImages:
        """Return n images.

        Args:
            model: what is asked.
            n: how many images.
            seed: of all randomness inside, of generators that the model holds too; outside, none is used up, and the
                model is left as it was: see :func:`~streaming_metrics.untouched.untouched`.
            batch: conditions, for a sampler that takes them.
            beside: columns of that batch, of images that come with none of their own.

        Raises:
            TypeError, ValueError: where number, shape, dtype or range is not as expected, or a column is missing.
        """
        function = self.bind(model)
        given = {"batch": batch} if "batch" in signature(function).parameters else {}
        with isolated_rng(seed), untouched(model, self.sample, seed=seed):
            images, own = apart(function(n, **given))
            drawn = self._checked(images, own, n, beside, self.source, batch)
            # A copy: they may be a buffer of the model's, which is put back.
            return replace(drawn, pixels=drawn.pixels.clone())

    def _checked(
        self, images: Any, own: Mapping[str, Any], n: int, beside: Mapping[str, Any] | None, source: str, batch: Any
    ) -> CheckedImages:
        with collecting(checks := []):
            pixels = as_uint8(images, self.value_range, source, n, self.reach, self.takes)
        own, captions = captions_apart({**(beside or {}), **own}, n, source)
        if captions is None and "captions" not in own and self.caption_key is not None:
            captions = find_captions(batch, self.caption_key, n)
        columns = checked_columns(own, n, source)
        refuse_missing({*columns, *(() if captions is None else ("captions",))}, self.needed, source)
        return CheckedImages(pixels, columns, captions, tuple(checks))
