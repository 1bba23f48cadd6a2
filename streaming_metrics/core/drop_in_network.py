"""The network of a drop-in: images as torchmetrics takes them, and forward passes that several metrics may share."""

from __future__ import annotations

import copy
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from streaming_metrics.core.inputs import Columns, InputPipeline
from streaming_metrics.deferred import retold
from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.module import PROBE_SIDES, ModuleExtractor
from streaming_metrics.features import Features, Spec
from streaming_metrics.images.conversion import OutOfRange, to_uint8
from streaming_metrics.precision import full_precision
from streaming_metrics.statistics.hashes import hashes_of

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class DropInPipeline(InputPipeline):
    """Images as torchmetrics takes them, through a network that several metrics may share."""

    network: Network = None  # pyright: ignore[reportAssignmentType]
    kept: str = "pool"

    def _extracted(self, given: Tensor, *_: object) -> list[Columns]:  # pyright: ignore[reportIncompatibleMethodOverride]
        columns = self.network.shared(given).columns()
        return [{self.kept: columns[self.network.column], "hashes": columns["hashes"]}]


class Network(nn.Module):
    """A network as torchmetrics' ``inception`` is: from images as ``update`` takes them to features ``(N, D)``.

    Args:
        extractor: the reference Inception, or a user's module.
        column: which of its features.
        normalize: whether images are floats in [0, 1], else uint8, on their way to uint8; None leaves them as they are.
    """

    def __init__(self, extractor: Extractor, column: str, normalize: bool | None) -> None:
        super().__init__()
        self.passes, self.column = Passes(extractor, normalize), column
        self.eval()

    @property
    def extractor(self) -> Extractor:
        """What images go through, alone or with other metrics."""
        return self.passes.extractor

    def forward(self, imgs: Tensor) -> Tensor:
        """Return the features of images, ``(N, D)``."""
        with torch.no_grad():
            return getattr(self.passes.run(imgs), self.column)

    def shared(self, imgs: Tensor) -> Features:
        """Return all features, from a forward pass that another metric had made if it was of this batch."""
        return self.passes(imgs, id(self))

    def join(self, other: Network) -> None:
        """Share the other's forward passes where they are of the same network."""
        if other is not self and self.passes.are_those_of(other.passes):
            self.passes = other.passes
            self.passes.readers += 1

    def train(self, mode: bool = True) -> Network:  # noqa: ARG002
        """Stay in eval mode."""
        return super().train(False)

    def __repr__(self) -> str:
        return f"Network({self.passes})"


class Passes:
    """The forward passes of one network: that of a batch is made once for all metrics that share them."""

    def __init__(self, extractor: Extractor, normalize: bool | None) -> None:
        self.extractor, self.normalize, self.readers = extractor, normalize, 1
        self._batch, self._features, self._served = None, Features(), set()

    def __call__(self, imgs: Tensor, reader: int) -> Features:
        """Return the features of images; each reader gets those of a pass once."""
        if self.readers == 1 or not isinstance(imgs, Tensor) or imgs.is_inference():
            return self.run(imgs)
        is_here = self._batch is not None and self._batch[0]() is imgs and self._batch[1] == imgs._version
        if not is_here or reader in self._served:
            self._features, self._served = self.run(imgs), set()
            self._batch = weakref.ref(imgs), imgs._version
        self._served.add(reader)
        return self._features

    def are_those_of(self, other: Passes) -> bool:
        """Return whether both yield the same; of modules, which their weights do not tell, only one object does."""
        mine, theirs = self.extractor, other.extractor
        if isinstance(mine, UserNetwork) and isinstance(theirs, UserNetwork):
            return repr(self) == repr(other) and mine.source is not None and mine.source == theirs.source
        return repr(self) == repr(other)

    def run(self, imgs: Tensor) -> Features:
        """Make a pass."""
        given = imgs.to(self.extractor.device) if self.normalize is None else _as_uint8(imgs, self.normalize)
        hashes = hashes_of(given)
        if self.normalize is not None:
            return self.extractor(given).having(hashes=hashes)
        with full_precision(self.extractor.device):
            return self.extractor.extract(given).having(hashes=hashes)

    def __repr__(self) -> str:
        return f"{self.extractor.fingerprint}, normalize={self.normalize}"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_batch": None, "_features": Features(), "_served": set()}


class Scores(Extractor):
    """An extractor whose features are taken as class scores: the Inception Score of any layer."""

    def __init__(self, inner: Extractor, column: str, layer: str | int | nn.Module) -> None:
        super().__init__()
        self.inner, self.column = inner, column
        self.spec = Spec(num_classes=inner.spec.num_features if column == "pool" else inner.spec.num_classes)
        for name in ("name", "tag", "weights_id", "resize", "precision", "layer"):
            setattr(self, name, getattr(inner, name))
        if column == "logits":
            self.layer = str(layer)

    def extract(self, images: Tensor) -> Features:
        return Features(logits=getattr(self.inner.extract(images), self.column))


class UserNetwork(ModuleExtractor):
    """A user's module, given the images as they are: a frozen copy in its own dtype."""

    def __init__(self, module: nn.Module, image_size: tuple[int, int, int], normalize: bool) -> None:
        with torch.inference_mode(False):
            frozen = copy.deepcopy(module).eval().requires_grad_(False)
        width = getattr(module, "num_features", None)
        if width is None:
            width = _width_of(frozen, image_size, normalize)
        elif not isinstance(width, (int, Tensor)):
            raise TypeError(f"Expected `self.inception.num_features` to be of type int or Tensor, got {width!r}.")
        super().__init__(module, num_features=int(width))
        self.module, self.source = frozen, (module,)  # in a tuple: it is no part of this one

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"source": None}

    def _run(self, images: Tensor) -> Features:
        output = self.module(images)
        features = output if isinstance(output, Features) else Features(pool=output)
        assert features.pool is not None
        rows = features.pool.unsqueeze(0) if features.pool.ndim == 1 else features.pool  # squeezed, a batch of one
        return Features(pool=rows.to(torch.promote_types(rows.dtype, torch.float32)))


def _as_uint8(imgs: Tensor, normalize: bool) -> Tensor:
    """Return uint8 images, or raise ValueError in the terms of ``normalize``."""
    is_tensor = isinstance(imgs, Tensor)
    got = str(imgs.dtype) if is_tensor else type(imgs).__name__
    is_float = is_tensor and imgs.is_floating_point()
    if not is_tensor or not (imgs.dtype == torch.uint8 or (is_float and normalize)):
        remedy = "normalize=True, for floats in [0, 1]" if is_float else "images.to(torch.uint8), if in 0 to 255"
        raise ValueError(f"Expecting image as torch.Tensor with dtype=torch.uint8, got {got}. Remedy: {remedy}.")
    with retold(_of_normalize):
        return to_uint8(imgs, (0, 1) if normalize else None)


def _of_normalize(error: Exception) -> Exception:
    """Return an error of the pixels' range in the terms of ``normalize``, any other as it is."""
    if not isinstance(error, OutOfRange):
        return error
    return ValueError(
        f"normalize=True: expected floats in [0, 1], got {error.darkest:g} to {error.brightest:g}. Remedy: (imgs + 1) "
        "/ 2 for images in [-1, 1]; for images in [0, 255], normalize=False and imgs.round().to(torch.uint8)."
    )


def _width_of(module: nn.Module, image_size: tuple[int, int, int], normalize: bool) -> int:
    """Return how many features a module yields, tried with images of several sizes and both dtypes."""
    sizes = dict.fromkeys([tuple(image_size), *((c, side, side) for c in (3, 1) for side in PROBE_SIDES)])
    dtypes, device, refusal = [dtype_of(module), torch.uint8], _weight_of(module).device, None
    for size in sizes:
        for dtype in dtypes if normalize else reversed(dtypes):
            try:
                with torch.no_grad():
                    return module(torch.zeros(1, *size, dtype=dtype, device=device)).shape[-1]
            except Exception as error:  # a module refuses another size or dtype in its own way
                refusal = refusal or error
    raise ValueError(
        f"feature: expected a module that takes an image {tuple(image_size)}, got {refusal!r}. "
        "Remedy: give the module an attribute num_features, the width of what it yields."
    ) from refusal


def dtype_of(module: nn.Module) -> torch.dtype:
    """Return the dtype of a module's weights; float32 where it has none."""
    return _weight_of(module).dtype


def _weight_of(module: nn.Module) -> Tensor:
    weights = (weight for weight in (*module.parameters(), *module.buffers()) if weight.is_floating_point())
    return next(weights, torch.empty(0, dtype=torch.float32))
