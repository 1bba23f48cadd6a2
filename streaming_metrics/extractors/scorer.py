"""Scorers: networks that give images a score each for their captions, and any function that does, as extractors."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.module import digest_of
from streaming_metrics.extractors.weights import PREFIX
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCORE = "score"


class ScoringNetwork(Extractor):
    """Network that yields the column ``score`` of images with their captions; a subclass implements :meth:`scores`."""

    reads_captions = True

    def __init__(self, precision: str = "fp32") -> None:
        super().__init__(precision)
        self.spec = Spec(widths={SCORE: 1})

    def extract(self, images: Tensor, captions: Sequence[str] | None = None) -> Features:
        """Return the scores of images for their captions, ``(N, 1)`` float32; no column where there are no captions."""
        if captions is None:
            return Features()
        return Features(score=self.scores(images, list(captions)).float().reshape(-1, 1))

    @abstractmethod
    def scores(self, images: Tensor, captions: list[str]) -> Tensor:
        """Return the score of each of checked uint8 images ``(N, 3, H, W)`` for its caption, ``(N,)``."""


class Scorer(ScoringNetwork):
    """A function ``r(images, captions)``, uint8 ``(N, 3, H, W)`` and N texts to ``(N,)``, as an extractor of ``score``.

    It is for :class:`~streaming_metrics.MeanScore`: images come with their texts, ``update(images, captions=[…])``.
    Where there are none, as for real images, it is not asked. The function is not copied, since such networks are
    large: one that goes on being trained gives other scores; give a copy of it. It is called without gradients.

    Args:
        function: the score of each image for its caption, on the device of the images; a module becomes part of the
            extractor, in eval mode, and moves along with it.
        name: what files and signatures call it, and, in lower case, the suffix of keys: ``score_<name>``.
        version: tells it from others of the name, for signatures and files: the digest or the release of its weights.
            Default: of a module, a digest of its weights; of other functions ``"1"``.

    Raises:
        TypeError: no function.
        ValueError: a name that makes no key; in use, scores of another shape than ``(N,)``.

    Example:
        >>> brightness = Scorer(lambda images, captions: images.float().mean((1, 2, 3)), name="brightness")
        >>> brightness(torch.full((2, 3, 8, 8), 9, dtype=torch.uint8), ["a cat", "a dog"]).score.flatten()
        tensor([9., 9.])
    """

    resize = "own"
    place: Tensor

    def __init__(self, function: Callable[[Tensor, list[str]], Tensor], name: str, version: str | None = None) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(
                f"Scorer: expected a function of images and captions, got {type(function).__name__}. Remedy: "
                "lambda images, captions: …, one score an image."
            )
        self.tag = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")
        if not isinstance(name, str) or not self.tag or "|" in name:
            raise ValueError(f"Scorer name: expected letters or digits, for keys end in them, got {name!r}.")
        self.name, self.function = name, function
        self.weights_id = version or (digest_of(function)[:PREFIX] if isinstance(function, nn.Module) else "1")
        self.register_buffer("place", torch.empty(0, device="cpu"), persistent=False)  # it knows its device by it
        self.train(False)

    def scores(self, images: Tensor, captions: list[str]) -> Tensor:
        """Return the score of each of checked uint8 images ``(N, 3, H, W)`` for its caption, ``(N,)``."""
        scores = self.function(images, captions)
        if not isinstance(scores, Tensor) or scores.shape not in ((len(images),), (len(images), 1)):
            got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(
                f"{self.name}: expected a tensor of {len(images)} scores, ({len(images)},), got {got}. Remedy: one "
                "number an image, torch.stack of them."
            )
        return scores
