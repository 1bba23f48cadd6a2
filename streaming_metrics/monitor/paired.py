"""Paired metrics: torchmetrics' metrics of a generated image and the real one, of its caption, and of the generator."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.core.metric_suite import MetricSuite
from streaming_metrics.images.conversion import to_unit
from streaming_metrics.measures.torchmetrics_names import CAPTIONED, PAIRED, THROUGH
from streaming_metrics.monitor.checks import refuse
from streaming_metrics.monitor.path_length import latent_generator
from streaming_metrics.precision import full_precision
from streaming_metrics.sampling import isolated_rng
from streaming_metrics.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from streaming_metrics.core.given_metrics import MetricsGiven
    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.images.batches import Key
    from streaming_metrics.images.conversion import CheckedImages, Takes
    from streaming_metrics.monitor.path_length import LatentGenerator
    from streaming_metrics.monitor.settings import Settings

SMALL = 2
"""Latents by which a generator shows what it makes."""


class PairedMetrics:
    """Metrics of torchmetrics beside a monitor's measures, fed with the images that those are fed with.

    Args:
        paired: of generated and real images of the same items, float32 in [0, 1].
        captioned: of generated images, uint8, and their captions, a list of str.
        through: of a generator; computed by every rank alike.
    """

    def __init__(
        self,
        paired: MetricsGiven | None = None,
        captioned: MetricsGiven | None = None,
        through: MetricsGiven | None = None,
    ) -> None:
        self.paired = MetricSuite(paired, PAIRED, "paired")
        self.captioned = MetricSuite(captioned, CAPTIONED, "captioned", group="text")
        self.through = MetricSuite(through, THROUGH, "through")
        self._walked: dict[str, Tensor] = {}

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the values."""
        return (*self.paired.keys, *self.captioned.keys, *self.through.keys)

    def to(self, device: torch.device | str) -> PairedMetrics:
        """Move the metrics to a device."""
        for suite in (self.paired, self.captioned, self.through):
            suite.to(device)
        return self

    def reset(self) -> None:
        """Forget an epoch's images."""
        for suite in (self.paired, self.captioned, self.through):
            suite.reset()
        self._walked = {}

    def set_aside(self) -> list[Any]:
        """Return the images of a sampler, for :meth:`put_back`, and forget them; of the generator nothing is."""
        return [suite.set_aside() for suite in (self.paired, self.captioned)]

    def put_back(self, images: list[Any]) -> None:
        """Hold images that were set aside, in place of others."""
        for suite, batches in zip((self.paired, self.captioned), images):
            suite.put_back(batches)

    def refuse_clips(self, takes: Takes) -> None:
        """Raise ValueError where there are metrics, which are of images, and networks take clips."""
        refuse(
            takes == "clips" and bool(self.keys),
            "paired=, captioned=, through=: expected networks of images, got one of clips. Remedy: a monitor of each.",
        )

    def refuse_contradictions(self, keys: tuple[str, ...], settings: Settings, reads_captions: bool = False) -> None:
        """Raise ValueError where arguments contradict each other, or two metrics, or one and a measure, share a key.

        Args:
            keys: of the measures.
            settings: of the monitor.
            reads_captions: whether a measure does.
        """
        self.paired.refuse_keys(keys)
        self.captioned.refuse_keys([*keys, *self.paired.keys])
        self.through.refuse_keys([*keys, *self.paired.keys, *self.captioned.keys])
        refuse(
            settings.caption_key is not None and not self.captioned and not reads_captions,
            "caption_key=: expected captioned= metrics, or a measure that reads captions, got neither. Remedy: leave "
            "it out.",
        )
        refuse(
            bool(self.through) != (settings.generator is not None),
            "through= and generator=: expected both or neither: metrics, and what they measure, got one of them.",
        )

    def declare(self) -> None:
        """Make known what the values are; raise ValueError for the key of a measure."""
        for suite in (self.paired, self.captioned, self.through):
            suite.declare()

    def refuse_unpaired(self, is_paired: bool, caption_key: Key | None) -> None:
        """Raise ValueError where images of no item in particular are to be compared with an item's image or caption."""
        refuse(bool(self.paired) and not is_paired, f"paired=: {_UNPAIRED}.")
        refuse(
            caption_key is not None and not is_paired,
            f'caption_key=: {_UNPAIRED}; or without caption_key=, sample= that returns (images, {{"captions": […]}}).',
        )

    def take(self, fake: CheckedImages, real: Tensor | None = None) -> None:
        """Take generated images, with their captions if those are read.

        Args:
            fake: the images.
            real: uint8 ``(N, 3, H, W)``, of the same items; None where there are none.

        Raises:
            ValueError: where sizes differ, or captions are missing; see :meth:`MetricSuite.update` too.
        """
        if self.paired and real is not None and len(real):
            _refuse_sizes(fake.pixels, real)
            self.paired.update(to_unit(fake.pixels), to_unit(real))
        if self.captioned and len(fake):
            refuse(fake.captions is None, _NO_CAPTIONS)
            self.captioned.update(fake.pixels, list(fake.captions or ()))

    def walk(self, model: Any, settings: Settings) -> None:
        """Measure the generator of a model, which is left as it was; randomness comes from the seed alone."""
        with self._generator_of(model, settings) as latent:
            self.through.update(latent)
            self._walked = self.through.own_values()

    def try_out(self, model: Any, settings: Settings) -> None:
        """Raise what is wrong with the generator of a model, by a few images."""
        for metric in self.through.metrics.values():
            with self._generator_of(model, settings) as latent:
                labels = torch.zeros(SMALL, dtype=torch.int64, device=self.through.device)
                is_conditional = getattr(metric, "conditional", False)
                latent(latent.sample(SMALL).to(self.through.device), *[labels] * is_conditional)

    @contextmanager
    def _generator_of(self, model: Any, settings: Settings) -> Iterator[LatentGenerator]:
        seed, found = settings.seed, settings.generator
        assert found is not None
        latents = latent_generator(model, found, settings.sample_range)
        with isolated_rng(seed), untouched(model, seed=seed), full_precision(self.through.device), latents as latent:
            yield latent

    def values(self, comm: Comm) -> dict[str, Tensor]:
        """Return the values over all ranks; collective."""
        walked = {key: comm.broadcast(value) for key, value in self._walked.items()}
        return {**self.paired.values(comm), **self.captioned.values(comm), **walked}


def _refuse_sizes(fake: Tensor, real: Tensor) -> None:
    shown, expected = (" × ".join(map(str, images.shape[-2:])) for images in (fake, real))
    refuse(
        shown != expected,
        f"paired=: expected generated images of the size of the real ones, {expected}, got {shown}. Remedy: resize "
        "either; or image_key= the image in the batch that they are to be compared with.",
    )


_UNPAIRED = (
    "expected generated images that belong to an item of the validation data each, got a sampler that makes them of "
    "nothing. Remedy: fake_key= where validation_step returns them, or sample= with a parameter `batch`"
)
_NO_CAPTIONS = (
    "captioned=: expected captions beside the generated images, got the images alone. Remedy: return (images, "
    '{"captions": [str, …]}) from sample= or as fake_key=; or caption_key= where they are in the validation batch.'
)
