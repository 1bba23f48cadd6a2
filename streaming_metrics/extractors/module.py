"""Any ``nn.Module`` as an extractor: a snapshot of it, frozen."""

from __future__ import annotations

import copy
import hashlib
import re

import torch
from torch import Tensor, nn

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.weights import PREFIX
from streaming_metrics.features import Features, Spec
from streaming_metrics.images.conversion import checked_range

PROBE_SIDES = (64, 32, 28, 224, 256, 299)
"""Sides of the blank images that are tried in turn to see what width a module yields."""


class ModuleExtractor(Extractor):
    """Any module from images ``(N, 3, H, W)`` to features ``(N, D)``, or to :class:`Features` with logits as well.

    The module is copied, in float32 and eval mode: training it further changes neither the copy nor the scores, and
    the extractor changes nothing in the training.

    Args:
        module: takes uint8 images, or floats where ``value_range`` is given.
        tag: ``[a-z0-9_]+``, the suffix of the keys, as in ``fd_<tag>``. Default: from the name of its class.
        num_features: D. Default: ``module.num_features``, or what the module yields for two blank images.
        value_range: ``(0, 1)`` or ``(-1, 1)``: give the module float32 images in this range in place of uint8.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        TypeError: not a module.
        ValueError: a bad tag; a width that cannot be found out; in use, an output of another shape than ``(N, D)``.

    Example:
        >>> net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        >>> extractor = ModuleExtractor(net, tag="thumbnail", value_range=(0, 1))
        >>> extractor.spec.num_features, extractor(torch.zeros(5, 3, 16, 16, dtype=torch.uint8)).pool.shape
        (12, torch.Size([5, 12]))
    """

    def __init__(
        self,
        module: nn.Module,
        tag: str | None = None,
        num_features: int | None = None,
        value_range: tuple[float, float] | None = None,
        precision: str = "fp32",
    ) -> None:
        super().__init__(precision)
        if not isinstance(module, nn.Module):
            raise TypeError(f"Expected an nn.Module, got {type(module).__name__}. Remedy: wrap it in one.")
        self.tag = _checked_tag(tag, module)
        self.name = f"module-{self.tag}"
        self.weights_id = digest_of(module)[:PREFIX]
        self.value_range = value_range if value_range is None else checked_range(value_range)
        self.resize = "native" if value_range is None else "native-{:g}-{:g}".format(*value_range)
        with torch.inference_mode(False):
            self.module = copy.deepcopy(module).float().eval().requires_grad_(False)
        self.spec = self._find_spec(getattr(module, "num_features", None) if num_features is None else num_features)

    def extract(self, images: Tensor) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)`` on this extractor's device."""
        features = self._run(images)
        _check_rows("features", features.pool, (len(images), self.spec.num_features))
        if self.spec.num_classes is None:
            return Features(pool=features.pool)
        _check_rows("logits", features.logits, (len(images), self.spec.num_classes))
        return features

    def _run(self, images: Tensor) -> Features:
        pixels = self._input(images)
        with self.cast():
            return _as_features(self.module(pixels))

    def _input(self, images: Tensor) -> Tensor:
        if self.value_range is None:
            return images
        low, high = self.value_range
        return images.float() * ((high - low) / 255) + low

    def _find_spec(self, num_features: int | Tensor | None) -> Spec:
        if num_features is not None:
            return Spec(int(num_features))
        features = self._probe()
        return Spec(features.columns()["pool"].shape[1], None if features.logits is None else features.logits.shape[1])

    def _probe(self) -> Features:
        """Return what the module yields for two blank images, of the first side that it takes."""
        refusal: Exception | None = None
        for side in PROBE_SIDES:
            try:
                output = self._output_for_blank(side)
            except Exception as error:  # a module of a fixed input size refuses in its own way
                refusal = error
            else:
                features = _as_features(output)
                _check_rows("features", features.pool, (2, None))
                return features
        raise ValueError(
            f"{self.tag}: expected a module that takes images of a side in {PROBE_SIDES}, got {refusal!r}. "
            "Remedy: give num_features=; or, where it casts its input, cast to its weights' dtype: the copy is float32."
        ) from refusal

    @torch.no_grad()
    def _output_for_blank(self, side: int) -> object:
        return self.module(self._input(torch.zeros(2, 3, side, side, dtype=torch.uint8, device=self.device)))


def digest_of(module: nn.Module) -> str:
    """Return a sha256 over the classes and the tensors (names, shapes, dtypes, bytes) of a module, the same everywhere.

    Example:
        >>> net, other = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> digest_of(net) == digest_of(copy.deepcopy(net)), digest_of(net) == digest_of(other)
        (True, False)
    """
    digest = hashlib.sha256()
    for name, child in module.named_modules():
        digest.update(f"{name}:{type(child).__qualname__};".encode())
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor):
            digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _checked_tag(tag: str | None, module: nn.Module) -> str:
    if tag is None:
        return re.sub(r"[^a-z0-9_]+", "_", type(module).__name__.lower())
    if not re.fullmatch(r"[a-z0-9_]+", tag):
        raise ValueError(f"tag: expected lower-case letters, digits and _, for keys end in it, got {tag!r}.")
    return tag


def _as_features(output: object) -> Features:
    features = Features(pool=output) if isinstance(output, Tensor) else output
    if not isinstance(features, Features) or features.pool is None:
        raise TypeError(
            f"extractor: expected a tensor (N, D) or Features with a pool from the module, got {type(output).__name__}."
        )
    return Features(pool=features.pool.float(), logits=None if features.logits is None else features.logits.float())


def _check_rows(what: str, rows: Tensor | None, shape: tuple[int, int | None]) -> None:
    got = None if rows is None else tuple(rows.shape)
    if got is None or len(got) != 2 or got[0] != shape[0] or shape[1] not in (None, got[1]):
        raise ValueError(
            f"extractor: expected {what} ({shape[0]}, {shape[1] or 'D'}) from the module, got {got}. "
            "Remedy: end it with nn.Flatten(), or give num_features= its width."
        )
