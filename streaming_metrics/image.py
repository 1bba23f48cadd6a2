"""Drop-ins for ``torchmetrics.image``: the same names, arguments and return types; change one import.

What is not as in torchmetrics, for all four:

- A module given as ``feature`` is copied, frozen, in eval mode: training it further changes no score, and it is no part
  of ``state_dict``. Its width comes from ``num_features`` or from a trial image. Results are float64 where its weights
  are, else float32, where torchmetrics gives float16 for float16.
- ``inception`` is that copy, or the reference network; it is read, called and shared by ``FeatureShare``, but not
  replaced. ``normalize``, ``subsets`` and the other arguments of the constructor are read-only attributes.
- ``set_dtype(torch.float64)`` makes results float64; sums always are, and the network stays as it is.
- The states ``real_features_sum``, ``real_features_cov_sum``, ``real_features_num_samples``, ``real_features`` and
  their ``fake_`` fellows are read, not set; ``features`` of ``InceptionScore`` does not exist. In a checkpoint that
  torchmetrics wrote, the network's keys are passed over, and such states too, with a warning: they do not say of which
  network they are.
- ``dist_sync_fn``, ``dist_sync_on_step`` and, for KID, ``compute_on_cpu`` are refused; ``compute_with_cache`` changes
  nothing, and the attribute ``sync_on_compute`` is not what was given.
- Floats are rounded to uint8, where torchmetrics truncates and wraps; uint8 is taken with ``normalize`` too.
- ``FeatureShare`` shares a forward pass only where the metrics alone would have made the same: of the reference network
  at layers 2048 and ``logits_unbiased`` (of ``InceptionScore``), or of one module object.
- ``InceptionScore`` keeps no features, so it does not warn that it does, and samples are dealt to splits in turn.
- ``MemorizationInformedFrechetInceptionDistance`` keeps features in float32, and also takes
  ``feature_extractor_weights_path`` and ``antialias``.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchmetrics.utilities import rank_zero_warn
from torchmetrics.wrappers.feature_share import NetworkCache

from streaming_metrics.core.drop_in_network import DropInPipeline, Network, Scores, UserNetwork, dtype_of
from streaming_metrics.core.layout import ALWAYS, Slot, Streams
from streaming_metrics.core.shell import GenerativeMetrics
from streaming_metrics.core.states import Binder
from streaming_metrics.extractors.inception import InceptionV3
from streaming_metrics.measures import FID, IS, KID, MiFID, NotEnoughSamples
from streaming_metrics.pairwise import Draw
from streaming_metrics.statistics import Bank, Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.distributed.comm import Comm
    from streaming_metrics.extractors.base import Extractor
    from streaming_metrics.features import Features, Role
    from streaming_metrics.measures import Measure

LAYERS = (64, 192, 768, 2048)
SUMS = ("features_sum", "features_cov_sum", "features_num_samples")
THEIR_STATES = ("features", *(f"{role}_{name}" for role in ALWAYS for name in ("features", *SUMS)))


def _parameter(name: str) -> Any:
    """Return a read-only attribute: a parameter of the one measure."""
    return property(lambda metric: getattr(metric.measures[0], name))


def _state(role: Role, name: str) -> Any:
    """Return a read-only attribute: one of torchmetrics' states, made of ours."""
    return property(lambda metric: metric._their_states(role)[name])


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
        image_size: of the first image by which a module's width is tried.
        kwargs: torchmetrics' own, e.g. ``process_group``.
    """

    feature_network = "inception"
    _too_few: str
    """What torchmetrics says where samples are missing."""

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
        if not isinstance(measure, KID):
            kwargs.pop("compute_on_cpu", None)  # it moves lists of features, and there are none
        column, self._dtype_reported, pixels = "pool", torch.float32, normalize
        if isinstance(feature, nn.Module):
            network: Extractor = UserNetwork(feature, image_size, normalize)
            pixels = (
                True if normalize and measure.column == "logits" else None
            )  # torchmetrics has IS alone scale them here
            self._dtype_reported = torch.promote_types(dtype_of(feature), torch.float32)
        elif isinstance(feature, tuple({type(layer) for layer in layers})):
            if feature not in layers:
                raise ValueError(f"Integer input to argument `feature` must be one of {layers}, but got {feature!r}.")
            resize = "torch-antialias" if antialias else "tf1-bilinear"
            # The deepest layers leave one network, which FeatureShare can then share.
            reads_scores = measure.column == "logits" and feature == "logits_unbiased"
            column, layer = ("logits", 2048) if reads_scores else ("pool", feature)
            network = InceptionV3(weights=weights, layer=layer, resize=resize)
        else:
            raise TypeError(
                "Got unknown input to argument `feature`: expected "
                f"one of {layers} or a module, got {type(feature).__name__}."
            )
        extractor = Scores(network, column, feature) if measure.column == "logits" else network
        value_range = (0, 1) if normalize else None
        super().__init__([measure], extractor, value_range=value_range, **kwargs)
        self.reset_real_features = reset_real_features
        kept = "logits" if measure.column == "logits" else "pool"
        self._inputs = DropInPipeline(self._inputs.networks, value_range, Network(network, column, pixels), kept)

    @property
    def inception(self) -> Network:
        """The network, from images as ``update`` takes them to features ``(N, D)``."""
        return self._given.network

    @property
    def normalize(self) -> bool:
        """Whether float images in [0, 1] are expected, else uint8."""
        return self._given.value_range is not None

    @property
    def used_custom_model(self) -> bool:
        """Whether ``feature`` was a module."""
        return isinstance(self.inception.extractor, UserNetwork)

    @property
    def _given(self) -> DropInPipeline:
        assert isinstance(self._inputs, DropInPipeline)
        return self._inputs

    def _outlives_reset(self, role: Role) -> bool:
        return super()._outlives_reset(role) or (role == "real" and not self.reset_real_features)

    def set_dtype(self, dst_type: str | torch.dtype) -> _DropIn:
        """Return this metric, its results in ``dst_type`` if that is float64, else in float32; sums are float64."""
        named = getattr(torch, dst_type.removeprefix("torch.")) if isinstance(dst_type, str) else dst_type
        self._dtype_reported = torch.promote_types(named, torch.float32)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name == self.feature_network:
            self._share(value)
        elif name in THEIR_STATES:
            raise AttributeError(
                f"{name}: it cannot be set. Remedy: update(), or reference= a file of mu and sigma, for the real side."
            )
        else:
            super().__setattr__(name, value)

    def _share(self, cache: Any) -> None:
        """Take a forward pass from the metric whose network ``FeatureShare`` hands around, where they are the same."""
        if not isinstance(cache, NetworkCache):
            raise AttributeError("inception: it cannot be replaced. Remedy: a new metric with feature=module.")
        if isinstance(cache.network, Network):
            cache.network.__dict__.pop("forward", None)  # its cache, which a batch written over would not empty
            self.inception.join(cache.network)
            shared, own = self.inception.extractor, self.extractor
            if isinstance(own, Scores):
                own.inner = shared
            else:
                (network,) = self._given.networks
                networks = (replace(network, extractor=shared),)  # one copy in memory
                self._inputs, self._layout = (
                    replace(self._given, networks=networks),
                    replace(self._layout, networks=networks),
                )
                self._binder = Binder(self._layout)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Pass over what torchmetrics' metric of this name has in a checkpoint."""
        left_out = [prefix + name for name in THEIR_STATES if prefix + name in state_dict]
        for key in [*left_out, *(key for key in state_dict if key.startswith(f"{prefix}inception."))]:
            del state_dict[key]
        if left_out:
            warnings.warn(
                f"Left out of what is loaded: {left_out[0]!r} and all states of torchmetrics, which do not say of what "
                "network they are. Remedy: update() with the images again.",
                stacklevel=2,
            )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _evaluate(self, comm: Comm, streams: Streams | None = None) -> list[tuple[int, dict[str, Tensor]]]:
        try:
            return super()._evaluate(comm, streams)
        except NotEnoughSamples as error:
            raise NotEnoughSamples(f"{self._too_few}. {error}") from None

    def _rows_of(self, values: Any) -> list[dict[str, Tensor]]:
        """Return scalars, pairs of mean and standard deviation, or a list of either, by key."""
        several = list(values) if isinstance(values, list) else [values]
        pairs = [value if isinstance(value, tuple) else (value,) for value in several]
        (measure,) = self.measures
        return [dict(zip(measure.keys, map(torch.as_tensor, pair))) for pair in pairs]

    def _report(self, values: Sequence[tuple[int, Mapping[str, Tensor]]]) -> Any:
        scalars = [value.to(self._dtype_reported) for _, found in values for value in found.values()]
        return tuple(scalars) if len(scalars) > 1 else scalars[0]


class FrechetInceptionDistance(_DropIn):
    """Fréchet Inception Distance under the arguments of ``torchmetrics.image.fid.FrechetInceptionDistance``.

    ``update(imgs, real)``; ``compute()`` returns a float32 scalar. See :class:`~streaming_metrics.FID`, and
    :mod:`streaming_metrics.image` for what differs.
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    _too_few = "More than one sample is required for both the real and fake distributed to compute FID"

    real_features_sum, real_features_cov_sum, real_features_num_samples = (_state("real", name) for name in SUMS)
    fake_features_sum, fake_features_cov_sum, fake_features_num_samples = (_state("fake", name) for name in SUMS)

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

    def update(self, imgs: Tensor | Features, real: bool, index: Tensor | None = None) -> None:  # pyright: ignore
        """Add images, real or generated; see :meth:`GenerativeMetrics.update`."""
        super().update(imgs, real, index)

    def forward(self, imgs: Tensor | Features, real: bool, index: Tensor | None = None) -> Any:  # pyright: ignore
        """Add images and return their distance to the other role's; None where there are too few."""
        return super().forward(imgs, real, index)

    def compute(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the distance, float32 ``()``; collective."""
        return super().compute()  # pyright: ignore[reportReturnType]

    def _their_states(self, role: Role) -> dict[str, Tensor]:
        moments = Moments(self.spec.num_features or 0)
        state = self._states.read(Slot(role, 0, moments))
        n, mean = moments.count(state), moments.mean(state)
        return dict(zip(SUMS, (n * mean, moments.scatter(state) + n * mean.outer(mean), n.long())))


class KernelInceptionDistance(_DropIn):
    """Kernel Inception Distance under the arguments of ``torchmetrics.image.kid.KernelInceptionDistance``.

    ``update(imgs, real)``; ``compute()`` returns mean and standard deviation over subsets, float32. Subsets are drawn
    from torch's global generator (rank 0's), real rows first, as torchmetrics does. See
    :class:`~streaming_metrics.KID`, and :mod:`streaming_metrics.image` for what differs.
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _too_few = "Argument `subset_size` should be smaller than the number of samples"

    subsets, subset_size = _parameter("subsets"), _parameter("subset_size")
    degree, gamma, coef = _parameter("degree"), _parameter("gamma"), _parameter("coef")
    real_features, fake_features = _state("real", "features"), _state("fake", "features")

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
        rank_zero_warn(
            "Metric `Kernel Inception Distance` will save all extracted features in buffer. For large datasets this "
            "may lead to large memory footprint.",
            UserWarning,
        )
        for name, value in {"subsets": subsets, "subset_size": subset_size, "degree": degree}.items():
            if not (isinstance(value, int) and value > 0):
                raise ValueError(f"Argument `{name}` expected to be integer larger than 0, got {value!r}.")
        if not (gamma is None or _is_positive(gamma)):
            raise ValueError(f"Argument `gamma` expected to be `None` or float larger than 0, got {gamma!r}.")
        if not _is_positive(coef):
            raise ValueError(f"Argument `coef` expected to be float larger than 0, got {coef!r}.")
        measure = KID(subsets, subset_size, degree=degree, gamma=gamma, coef=coef)
        options = {"normalize": normalize, "weights": feature_extractor_weights_path, "antialias": antialias}
        layers = ("logits_unbiased", *LAYERS)
        super().__init__(measure, feature, layers, **options, reset_real_features=reset_real_features, **kwargs)

    def update(self, imgs: Tensor | Features, real: bool, index: Tensor | None = None) -> None:  # pyright: ignore
        """Add images, real or generated; see :meth:`GenerativeMetrics.update`."""
        super().update(imgs, real, index)

    def forward(self, imgs: Tensor | Features, real: bool, index: Tensor | None = None) -> Any:  # pyright: ignore
        """Add images and return their distance to the other role's; None where there are too few."""
        return super().forward(imgs, real, index)

    def compute(self) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return mean and standard deviation over subsets, float32 ``()``; collective."""
        comm, measure = self._gather_ranks(), self.measures[0]
        assert isinstance(measure, KID)
        assert measure.subsets is not None
        own = torch.get_rng_state()
        seed = comm.broadcast(own.clone()).numpy().tobytes()
        values = self._evaluate(comm, Streams(self._layout, (replace(measure, seed=seed),)))
        if (
            self._totals is not None
        ):  # each rank's generator goes on from its own state, or all would draw the same noise
            draw = Draw(measure.subsets, measure.subset_size, own.numpy().tobytes())
            after = draw.state_after(self._totals["real"], self._totals["fake"])
            torch.set_rng_state(torch.frombuffer(bytearray(after), dtype=torch.uint8))
        return self._report(values)

    def _their_states(self, role: Role) -> dict[str, list[Tensor]]:
        return _kept_features(self, role)


class InceptionScore(_DropIn):
    """Inception Score under the arguments of ``torchmetrics.image.inception.InceptionScore``.

    ``update(imgs)``; ``compute()`` returns mean and standard deviation (ddof 1) over splits, float32. Nothing is kept
    of the images but sums: samples are dealt to splits in turn, where torchmetrics keeps all logits and shuffles them.
    See :class:`~streaming_metrics.IS`, and :mod:`streaming_metrics.image` for what differs.
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    _too_few = "No samples to concatenate"

    splits = _parameter("splits")

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


class MemorizationInformedFrechetInceptionDistance(_DropIn):
    """MiFID under the arguments of ``torchmetrics.image.mifid.MemorizationInformedFrechetInceptionDistance``.

    ``update(imgs, real)``; ``compute()`` returns a float32 scalar: the Fréchet distance, divided by the mean over real
    images of the cosine distance to the nearest generated one, and 0 where it is at most 1e-8. The competition's rule,
    over generated images, is :class:`~streaming_metrics.MiFID`. See :mod:`streaming_metrics.image` for what differs.
    """

    higher_is_better = False
    _too_few = "More than one sample is required for both the real and fake distributed to compute MiFID"

    cosine_distance_eps = _parameter("threshold")
    real_features, fake_features = _state("real", "features"), _state("fake", "features")

    def __init__(
        self,
        feature: int | nn.Module = 2048,
        reset_real_features: bool = True,
        normalize: bool = False,
        cosine_distance_eps: float = 0.1,
        feature_extractor_weights_path: str | None = None,
        antialias: bool = True,
        **kwargs: Any,
    ) -> None:
        if not (isinstance(cosine_distance_eps, float) and 0 < cosine_distance_eps <= 1):
            raise ValueError(
                "Argument `cosine_distance_eps` expected to be a float greater than 0 and at most 1, got "
                f"{cosine_distance_eps!r}."
            )
        measure = MiFID(cosine_distance_eps, variant="torchmetrics")
        options = {"normalize": normalize, "weights": feature_extractor_weights_path, "antialias": antialias}
        super().__init__(measure, feature, LAYERS, **options, reset_real_features=reset_real_features, **kwargs)

    def update(self, imgs: Tensor | Features, real: bool, index: Tensor | None = None) -> None:  # pyright: ignore
        """Add images, real or generated; see :meth:`GenerativeMetrics.update`."""
        super().update(imgs, real, index)

    def forward(self, imgs: Tensor | Features, real: bool, index: Tensor | None = None) -> Any:  # pyright: ignore
        """Add images and return their distance to the other role's; None where there are too few."""
        return super().forward(imgs, real, index)

    def compute(self) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the distance, float32 ``()``; collective."""
        return super().compute()  # pyright: ignore[reportReturnType]

    def _report(self, values: Sequence[tuple[int, Mapping[str, Tensor]]]) -> Any:
        return super()._report([(place, {"mifid": found["mifid"]}) for place, found in values])

    def _their_states(self, role: Role) -> dict[str, list[Tensor]]:
        return _kept_features(self, role)


def _kept_features(metric: _DropIn, role: Role) -> dict[str, list[Tensor]]:
    """Return the features that are kept of a role, as torchmetrics holds them."""
    rows = metric._states.read(Slot(role, 0, Bank(metric.spec.num_features or 0)))["rows"]
    return {"features": [rows] if len(rows) else []}


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0
