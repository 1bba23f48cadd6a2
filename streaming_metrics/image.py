"""Drop-ins for ``torchmetrics.image``: the same names, arguments and return types; change one import."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.inception import InceptionV3
from streaming_metrics.extractors.module import ModuleExtractor
from streaming_metrics.features import Features, Spec
from streaming_metrics.folds import Draw
from streaming_metrics.generative import GenerativeMetrics
from streaming_metrics.hashes import hashes_of
from streaming_metrics.intake import Intake
from streaming_metrics.measures import FID, IS, KID
from streaming_metrics.precision import full_precision

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming_metrics.measures import Measure

LAYERS = (64, 192, 768, 2048)


class _DropIn(GenerativeMetrics):
    """One measure under torchmetrics' arguments.

    Args:
        measure: what to compute.
        feature: a layer of the reference Inception, or a module, which is given the images as they are.
        layers: the layers that this metric takes.
        normalize: whether float images in [0, 1] are expected, else uint8. They are rounded, where torchmetrics
            truncates.
        weights: path or URL of Inception's weights; None downloads the published ones.
        antialias: whether images are resized with antialiasing, as torchmetrics does since 1.8, else as the original.
        reset_real_features: False keeps the real samples in ``reset``.
        image_size: of the image by which a module's width is probed.
        kwargs: torchmetrics' own, e.g. ``process_group``.
    """

    def __init__(
        self,
        measure: Measure,
        feature: str | int | nn.Module,
        layers: tuple[str | int, ...],
        *,
        normalize: bool,
        weights: str | None,
        antialias: bool,
        reset_real_features: bool = True,
        image_size: tuple[int, int, int] = (3, 299, 299),
        **kwargs: Any,
    ) -> None:
        for name, flag in (("normalize", normalize), ("reset_real_features", reset_real_features)):
            if not isinstance(flag, bool):
                raise ValueError(f"Argument `{name}` expected to be a bool, got {flag!r}.")
        if isinstance(feature, nn.Module):
            network: Extractor = _probed(feature, image_size, normalize)
        elif isinstance(feature, (str, int)):
            if feature not in layers:
                raise ValueError(f"Argument `feature` must be one of {layers} or a module, got {feature!r}.")
            network = InceptionV3(
                weights=weights, layer=feature, resize="torch-antialias" if antialias else "tf1-bilinear"
            )
        else:
            raise TypeError(f"Argument `feature` must be one of {layers} or a module, got {type(feature).__name__}.")
        if measure.needs_logits:
            network = _Scores(network)
        super().__init__([measure], network, value_range=(0, 1) if normalize else None, **kwargs)
        self.reset_real_features, self.normalize = reset_real_features, normalize
        if isinstance(feature, nn.Module):
            self._intake = (_AsGiven(network, network.spec),)

    def reset(self) -> None:
        """Forget all samples, the real ones only with ``reset_real_features``."""
        real = None if self.reset_real_features else self._states("real")
        super().reset()
        if real is not None:
            self._set_states("real", real)

    def _rows_of(self, values: Any) -> list[dict[str, Tensor]]:
        """Return scalars, pairs of mean and standard deviation, or a list of either, by key."""
        several = list(values) if isinstance(values, list) else [values]
        pairs = [value if isinstance(value, tuple) else (value,) for value in several]
        return [dict(zip(self.measures[0].keys, map(torch.as_tensor, pair))) for pair in pairs]


class FrechetInceptionDistance(_DropIn):
    """Fréchet Inception Distance under the arguments of ``torchmetrics.image.fid.FrechetInceptionDistance``.

    ``update(imgs, real)``; ``compute()`` returns a float32 scalar. See :class:`~streaming_metrics.FID`.
    """

    higher_is_better = False
    plot_lower_bound = 0.0

    def __init__(
        self,
        feature: int | nn.Module = 2048,
        reset_real_features: bool = True,
        normalize: bool = False,
        input_img_size: tuple[int, int, int] = (3, 299, 299),
        feature_extractor_weights_path: str | None = None,
        antialias: bool = True,
        **kwargs: Any,
    ) -> None:
        options = {"normalize": normalize, "weights": feature_extractor_weights_path, "antialias": antialias}
        kept = {"reset_real_features": reset_real_features, "image_size": input_img_size}
        super().__init__(FID(), feature, LAYERS, **options, **kept, **kwargs)

    def compute(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the distance, float32 ``()``; collective."""
        return super().compute()  # pyright: ignore[reportReturnType]

    def _report(self, values: Mapping[str, Tensor]) -> Tensor:
        return values["fid"].float()


class KernelInceptionDistance(_DropIn):
    """Kernel Inception Distance under the arguments of ``torchmetrics.image.kid.KernelInceptionDistance``.

    ``update(imgs, real)``; ``compute()`` returns mean and standard deviation over subsets, float32. Subsets are drawn
    from torch's global generator (rank 0's), real rows first, as torchmetrics does. See
    :class:`~streaming_metrics.KID`.
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        feature: str | int | nn.Module = 2048,
        subsets: int = 100,
        subset_size: int = 1000,
        degree: int = 3,
        gamma: float | None = None,
        coef: float = 1.0,
        reset_real_features: bool = True,
        normalize: bool = False,
        feature_extractor_weights_path: str | None = None,
        antialias: bool = True,
        **kwargs: Any,
    ) -> None:
        measure = KID(subsets, subset_size, degree=degree, gamma=gamma, coef=coef)
        options = {"normalize": normalize, "weights": feature_extractor_weights_path, "antialias": antialias}
        layers = ("logits_unbiased", *LAYERS)
        super().__init__(measure, feature, layers, **options, reset_real_features=reset_real_features, **kwargs)

    def compute(self) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return mean and standard deviation over subsets, float32 ``()``; collective."""
        comm, measure = self._gather_ranks(), self.measures[0]
        assert isinstance(measure, KID)
        assert measure.subsets is not None
        own = torch.get_rng_state()
        seed = comm.first(own.clone()).numpy().tobytes()
        values = self._evaluate([replace(measure, seed=seed)], comm)
        if (
            self._totals is not None
        ):  # each rank's generator goes on from its own state, or all would draw the same noise
            draw = Draw(measure.subsets, measure.subset_size, own.numpy().tobytes())
            after = draw.state_after(self._totals.real, self._totals.fake)
            torch.set_rng_state(torch.frombuffer(bytearray(after), dtype=torch.uint8))
        return self._report(values)

    def _report(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return values["kid"].float(), values["kid_std"].float()


class InceptionScore(_DropIn):
    """Inception Score under the arguments of ``torchmetrics.image.inception.InceptionScore``.

    ``update(imgs)``; ``compute()`` returns mean and standard deviation (ddof 1) over splits, float32. Nothing is kept
    of the images but sums: samples are dealt to splits in turn, where torchmetrics keeps all logits and shuffles them.
    See :class:`~streaming_metrics.IS`.
    """

    higher_is_better = True
    plot_lower_bound = 0.0

    def __init__(
        self,
        feature: str | int | nn.Module = "logits_unbiased",
        splits: int = 10,
        normalize: bool = False,
        feature_extractor_weights_path: str | None = None,
        antialias: bool = True,
        **kwargs: Any,
    ) -> None:
        options = {"normalize": normalize, "weights": feature_extractor_weights_path, "antialias": antialias}
        super().__init__(IS(splits, ddof=1), feature, ("logits_unbiased", *LAYERS), **options, **kwargs)

    def update(self, imgs: Tensor | Features, index: Tensor | None = None) -> None:  # pyright: ignore
        """Add generated images; see :meth:`GenerativeMetrics.update`."""
        super().update(imgs, real=False, index=index)

    def forward(self, imgs: Tensor | Features, index: Tensor | None = None) -> Any:  # pyright: ignore
        """Add generated images and return their own score."""
        return super().forward(imgs, real=False, index=index)

    def compute(self) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return mean and standard deviation over splits, float32 ``()``; collective."""
        return super().compute()  # pyright: ignore[reportReturnType]

    def _report(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return values["is"].float(), values["is_std"].float()


class _Scores(Extractor):
    """An extractor whose pooled features are taken as class scores: the Inception Score of any layer."""

    def __init__(self, inner: Extractor) -> None:
        super().__init__()
        self.inner = inner
        self.spec = Spec(num_classes=inner.spec.num_features)
        for name in ("name", "tag", "weights_id", "resize", "precision", "layer"):
            setattr(self, name, getattr(inner, name))

    def extract(self, images: Tensor) -> Features:
        return Features(logits=self.inner.extract(images).pool)


class _AsGiven(Intake):
    """Gives a user's module the images as they are, whatever their dtype and shape."""

    def _extract(self, given: Tensor) -> Features:
        assert self.extractor is not None
        given = given.to(self.extractor.device)
        hashes = hashes_of(given)
        with full_precision(self.extractor.device):
            return replace(self.extractor.extract(given), hashes=hashes)


def _probed(module: nn.Module, image_size: tuple[int, int, int], normalize: bool) -> Extractor:
    """Return the module as an extractor, its width found by one image where it does not say."""
    width = getattr(module, "num_features", None)
    if width is None:
        image = torch.rand(1, *image_size) if normalize else torch.randint(0, 255, (1, *image_size), dtype=torch.uint8)
        with torch.no_grad():
            width = module(image).shape[-1]
    return ModuleExtractor(module, num_features=int(width))
