"""Images on their way in: one forward pass for all measures, and bad images are refused before anything is added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from extractor_table import Pixels
from torch import Tensor, nn

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.extractors import InceptionV3, ModuleExtractor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


class Counting(nn.Module):
    """Counts its forward passes, over all copies."""

    passes = 0

    def forward(self, images: Tensor) -> Features:
        Counting.passes += 1
        pool = nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)
        return Features(pool=pool, logits=pool[:, :7])


def images(n: int = 30, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 3, 16, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def filled(**options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics([FID(), PRDC(k=3)], ModuleExtractor(Pixels(), tag="pixels"), **options)
    metric.update(images(seed=1), real=True)
    metric.update(images(seed=2), real=False)
    return metric


def test_one_pass_feeds_every_measure() -> None:
    extractor = ModuleExtractor(Counting())
    metric = GenerativeMetrics([FID(), KID(subsets=2, subset_size=20), IS(splits=2), PRDC()], extractor)
    Counting.passes = 0
    for real in (True, False):
        metric.update(images(seed=int(real)), real=real)
    assert Counting.passes == 2
    assert len(metric.compute()) == 9


@pytest.mark.parametrize(("value_range", "scale", "shift"), [((0, 1), 255, 0), ((-1, 1), 127.5, 1)])
def test_floats_are_rounded_to_the_bytes_that_they_came_from(
    value_range: tuple[float, float], scale: float, shift: float
) -> None:
    metric = GenerativeMetrics([FID(), PRDC(k=3)], ModuleExtractor(Pixels(), tag="pixels"), value_range=value_range)
    for real, seed in ((True, 1), (False, 2)):
        metric.update(images(seed=seed) / scale - shift, real=real)
    assert metric.compute() == filled().compute()


BAD: list[tuple[Any, tuple[float, float] | None, type[Exception], str]] = [
    (images().float(), None, TypeError, "value_range"),
    (images().to(torch.int64), None, TypeError, "uint8"),
    (images().float(), (0, 1), ValueError, "255"),
    (images() / 127.5 - 1, (0, 1), ValueError, "-1"),
    (images() / torch.nan, (0, 1), ValueError, "NaN"),
    (images()[:, :1], None, ValueError, "expand"),
    (images()[0], None, ValueError, r"3, H, W"),
    (images().permute(0, 2, 3, 1), None, ValueError, "permute"),
    (images()[:0], None, ValueError, "0"),
    ("cat.png", None, TypeError, "str"),
]


@pytest.mark.parametrize(("given", "value_range", "error", "message"), BAD, ids=[f"{row[3]}" for row in BAD])
def test_bad_images_are_refused_and_nothing_is_lost(
    given: Any, value_range: tuple[float, float] | None, error: type[Exception], message: str
) -> None:
    metric = GenerativeMetrics([FID()], ModuleExtractor(Pixels(), tag="pixels"), value_range=value_range)
    for real in (True, False):
        metric.update(images(seed=int(real)), real=real)
    before = {name: state.clone() for name, state in metric.metric_state.items()}
    with pytest.raises(error, match=message):
        metric.update(given, real=False)
    assert all(torch.equal(before[name], state) for name, state in metric.metric_state.items())


def test_one_image_is_too_few() -> None:
    metric = GenerativeMetrics([FID()], ModuleExtractor(Pixels(), tag="pixels"))
    for real in (True, False):
        metric.update(images(1), real=real)
    with pytest.raises(NotEnoughSamples, match="FID needs at least 2 real samples, got 1"):
        metric.compute()


def test_bare_names_are_the_reference_networks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = filled()
    assert metric.keys[0] == "fd_pixels"
    monkeypatch.setattr(metric.extractor, "published", frozenset({"pool"}))
    assert GenerativeMetrics([FID()], metric.extractor).keys[0] == "fid"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="inception-v3"):
        GenerativeMetrics([FID()], "inception-v2")


def test_the_network_stays_out_of_the_module_that_holds_the_metric() -> None:
    parent = nn.Module()
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4))
    parent.metric = GenerativeMetrics([FID()], ModuleExtractor(network, value_range=(0, 1)))
    parent.train()
    parent.half()
    assert not list(parent.parameters())
    assert not parent.state_dict()
    assert metric_extractor(parent).training is False
    assert all(parameter.dtype == torch.float32 for parameter in metric_extractor(parent).parameters())


def metric_extractor(parent: nn.Module) -> nn.Module:
    extractor = parent.metric.extractor  # pyright: ignore
    assert isinstance(extractor, nn.Module)
    return extractor


def test_the_signature_names_network_weights_layer_and_resize(inception_weights: Path) -> None:
    for layer, named in ((2048, ""), (192, "-192")):
        extractor = InceptionV3(inception_weights, layer=layer)
        signature = GenerativeMetrics([FID()], extractor).signature()
        label = f"inception-v3-{extractor.weights_id}{named}"
        assert signature.startswith(f"fid|ext:{label}|resize:tf1-bilinear-299|real:0|fake:0|fp32|v")
