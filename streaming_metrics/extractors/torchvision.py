"""Any classification network of torchvision, by its name there: ``torchvision/resnet50``."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torchvision import models

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.names import unknown
from streaming_metrics.extractors.resize import fast_layout
from streaming_metrics.extractors.weights import PREFIX, digest_of_name, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator


class TorchvisionExtractor(Extractor):
    """A classification network of ``torchvision.models``: pool is the input of its last layer, logits the output.

    Images are prepared as torchvision's ``weights.transforms()`` of the network's default weights does it.

    Args:
        model: a name of ``torchvision.models.list_models(torchvision.models)``.
        weights: path or URL of a ``state_dict`` of this network. Default: torchvision's published default weights.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ValueError: no such network; weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Parity: ``model(weights.transforms()(images))`` of torchvision.

    Example:
        >>> import tempfile, torch
        >>> file = tempfile.mkdtemp() + "/mine.pth"
        >>> torch.save(models.get_model("shufflenet_v2_x0_5", weights=None).state_dict(), file)
        >>> TorchvisionExtractor("shufflenet_v2_x0_5", file)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).pool.shape
        torch.Size([1, 1024])
    """

    def __init__(self, model: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> None:
        super().__init__(precision)
        published = published_weights(model)
        source = published.url if weights is None else weights
        state, digest = load_weights(source, digest_of_name(source, _digits(published.url)))
        self.name, self.tag = f"torchvision/{model}", f"torchvision_{model}"
        self.weights_id = digest[:PREFIX]
        self.transforms = published.transforms()
        self.resize = _describe(self.transforms)
        state = _renamed(state) if model.startswith("densenet") else state
        self.network = frozen_network(lambda: _make(model, published), state, self.name)
        self.spec = _widths(last_layer(self.network))

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        pixels = fast_layout(self.transforms(images), self.precision)
        with inputs_of(last_layer(self.network)) as inputs, self.cast():
            logits = self.network(pixels).float()
        pool = inputs[-1].float()
        return Features(pool=pool.flatten(2).mean(dim=2) if pool.ndim == 4 else pool, logits=logits)


def published_weights(model: str) -> models.WeightsEnum:
    """Return the default weights of a classification network of torchvision.

    Raises:
        ValueError: no such network.
    """
    known = models.list_models(module=models)
    if model not in known:
        raise unknown(model, "classification network of torchvision", nearby=known, listed=known)
    return models.get_model_weights(model)["DEFAULT"]


def last_layer(network: nn.Module) -> nn.Linear | nn.Conv2d:
    """Return the layer that makes the logits: the last linear one; SqueezeNet has a convolution there."""
    return [module for module in network.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what ``module`` is called with; the hook lives no longer, so the network can be pickled."""
    inputs: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    try:
        yield inputs
    finally:
        handle.remove()


def _make(model: str, published: models.WeightsEnum) -> nn.Module:
    """Make the network as torchvision's builder does for published weights, which is not always its default."""
    arguments: dict[str, Any] = {}
    if model in ("googlenet", "inception_v3"):
        arguments = {"init_weights": False, "transform_input": True}
    if model.startswith("vit_"):
        arguments = {"image_size": published.meta["min_size"][0]}
    return models.get_model(model, weights=None, **arguments)


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give DenseNet's published tensors the names of today's network: ``norm.1`` is ``norm1``."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", name): tensor for name, tensor in state.items()}


def _widths(layer: nn.Linear | nn.Conv2d) -> Spec:
    if isinstance(layer, nn.Linear):
        return Spec(layer.in_features, layer.out_features)
    return Spec(layer.in_channels, layer.out_channels)


def _digits(url: str) -> str:
    """Return the digits of the sha256 that the names of torchvision's files end in."""
    return url.rpartition("-")[2].partition(".")[0]


def _describe(transforms: Any) -> str:
    return f"{transforms.interpolation.value}-{transforms.resize_size[0]}-crop-{transforms.crop_size[0]}"
