"""Inception v3 as the field's numbers use it: FID, KID and IS by their bare names hold on these weights."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import linear

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.inception_graph import CLASSES, STAGES, reference_inception, stages_until
from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.resize import RESIZES, fast_layout
from streaming_metrics.extractors.weights import PREFIX, digest_of_name, load_weights
from streaming_metrics.features import Features, Spec
from streaming_metrics.precision import PRECISIONS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from torch import Tensor

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
SIDE = 299
LAYERS = {"64": 64, "192": 192, "768": 768, "2048": 2048, "logits": CLASSES, "logits_unbiased": CLASSES}
"""Feature layers and their widths."""
AT_ONCE = {"fp32": (4, 8, 32), "tf32": (4, 8, 32), "bf16": (8, 16, 32)}
"""Images that a CPU takes at a time through each stage, so that what flows stays in its cache, and below the 32 MiB
from which each tensor is allocated from the system anew."""
AT_ONCE_ON_A_GPU = 256
"""Images that fill a GPU; each needs 12 to 20 MB while it goes through."""
PUBLISHED: dict[str, frozenset[str]] = {
    "2048": frozenset({"pool", "logits", "spatial"}),
    "logits_unbiased": frozenset({"logits", "spatial"}),
    "logits": frozenset({"spatial"}),
}
"""By layer, which of the features are those that FID and the Inception Score were published on."""


SPATIAL = 7, 17 * 17 * 7
"""Channels of the spatial features, and their width."""
BRANCH = "2.branch1x1"
"""The first branch of ``Mixed_6d``, the third module of the last stage."""


class InceptionV3(Extractor):
    """The reference Inception v3 (TensorFlow, 2015-12-05), features ``(N, D)`` and logits ``(N, 1008)``.

    ``Features.pool`` is the chosen layer, averaged over space. ``Features.logits`` are the logits without the bias, as
    all published Inception Scores use them; with the bias where ``layer="logits"``; none below layer 2048, where the
    network stops early. With logits comes ``spatial (N, 2023)``: 7 channels of the 17 × 17 pixels that leave the first
    branch of ``Mixed_6d``, pixel by pixel, as guided-diffusion has them.

    Args:
        weights: a path or URL of the published file (``pt_inception-2015-12-05-6726825d.pth`` of pytorch-fid and
            ``weights-inception-2015-12-05-6726825d.pth`` of torch-fidelity are one file) or of another with the same
            tensors. Default: torch-fidelity's URL.
        layer: ``64``, ``192``, ``768``, ``2048``, ``"logits"`` or ``"logits_unbiased"``.
        resize: a name of :data:`~streaming_metrics.extractors.resize.RESIZES`.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ValueError: unknown layer or resize; weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: torch-fidelity (``"tf1-bilinear"``), pytorch-fid (``"torch-bilinear"``), torchmetrics >= 1.8
    (``"torch-antialias"``), clean-fid (``"clean"``), 1e-4 relative.

    Paper: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016.

    Example:
        >>> import torch
        >>> extractor = InceptionV3("pt_inception-2015-12-05-6726825d.pth")  # doctest: +SKIP
        >>> extractor(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).pool.shape  # doctest: +SKIP
        torch.Size([2, 2048])
    """

    name = "inception-v3"
    tag = "inception_v3"

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        layer: int | str = 2048,
        resize: str = "tf1-bilinear",
        precision: str = "fp32",
    ) -> None:
        super().__init__(precision)
        width = lookup(LAYERS, str(layer), "layer of inception-v3")
        self._resize = lookup(RESIZES, resize, "resize")
        source = URL if weights is None else weights
        state, digest = load_weights(source, digest_of_name(source, SHA256))
        self.layer = str(layer)
        self.resize = f"{resize}-{SIDE}"
        self.weights_id = digest[:PREFIX]
        self.published = PUBLISHED.get(self.layer, frozenset()) if digest == SHA256 else frozenset()
        is_whole = LAYERS[self.layer] >= CLASSES
        self.spec = Spec(width, CLASSES, {"spatial": SPATIAL[1]}) if is_whole else Spec(width)
        network = reference_inception(state)
        stages = nn.ModuleList(stages_until(network, self.layer if self.layer in STAGES else "2048"))
        self.stages = stages.to(PRECISIONS[precision])  # rounded once, not once a batch
        if precision != "fp32":
            self.stages.to(memory_format=torch.channels_last)  # as what comes in: see fast_layout
        self.classifier = network.fc if is_whole else None

    def with_resize(self, resize: str) -> InceptionV3:
        """Return the same network, its weights shared, behind another named resize.

        Raises:
            ValueError: unknown resize.
        """
        other = copy(self)
        other._resize, other.resize = lookup(RESIZES, resize, "resize"), f"{resize}-{SIDE}"
        return other

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        if self.classifier is None:
            return Features(pool=self._after(len(self.stages), images))
        with outputs_of(self.stages[-1].get_submodule(BRANCH), first_channels) as spatial:
            pool = self._after(len(self.stages), images)
        logits = linear(pool, self.classifier.weight)
        if self.layer == "logits":
            logits = logits + self.classifier.bias
        pool = pool if self.layer in STAGES else logits
        return Features(pool=pool, logits=logits, spatial=torch.cat(spatial))

    def _after(self, depth: int, images: Tensor) -> Tensor:
        """Return what leaves the first ``depth`` stages, the last of them in parts that fill what it takes at once."""
        if not depth:
            return fast_layout(self._resize(images, SIDE), self.precision)
        is_cpu = self.device.type == "cpu"
        at_once = AT_ONCE[self.precision][depth - 1] if is_cpu else AT_ONCE_ON_A_GPU
        parts = []
        for some in images.split(at_once):
            x = self._after(depth - 1, some)
            with self.cast():
                parts.append(self.stages[depth - 1](x))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def first_channels(maps: Tensor) -> Tensor:
    """Return ``(N, H·W·7)`` float32, pixel by pixel, of maps ``(N, C, H, W)``."""
    return maps[:, : SPATIAL[0]].permute(0, 2, 3, 1).float().flatten(1)


@contextmanager
def outputs_of(module: nn.Module, read: Callable[[Tensor], Tensor]) -> Iterator[list[Tensor]]:
    """Collect what is read off a module's outputs; the hook lives no longer, so the network can be pickled."""
    outputs: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, __, output: outputs.append(read(output)))
    try:
        yield outputs
    finally:
        handle.remove()
