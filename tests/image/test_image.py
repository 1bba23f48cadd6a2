"""The drop-ins against torchmetrics itself: the same arguments, types and numbers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torchmetrics.image as theirs
from torch import Tensor, nn
from torchmetrics import MetricCollection

from streaming_metrics import image as ours
from streaming_metrics.measures import BiasWarning

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.filterwarnings("ignore:Metric `.*` will save all extracted features:UserWarning"),
    pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning"),
]

NAMES = [
    "FrechetInceptionDistance",
    "KernelInceptionDistance",
    "InceptionScore",
    "MemorizationInformedFrechetInceptionDistance",
]


def images(seed: int, n: int = 6, high: int = 256) -> Tensor:
    return torch.randint(0, high, (n, 3, 40, 36), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


class Colours(nn.Module):
    """A network of the user's, for images as they are."""

    def forward(self, imgs: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(imgs.float(), 2).flatten(1) / 50


def feed(metric: Any, normalize: bool = False, seeds: tuple[int, int] = (1, 2), n: int = 24) -> Any:
    scale = (lambda x: x / 255) if normalize else (lambda x: x)
    if "Score" in type(metric).__name__:
        metric.update(scale(images(seeds[0], n)))
        return metric
    metric.update(scale(images(seeds[0], n)), real=True)
    for part in scale(images(seeds[1], n, high=200)).split(10):
        metric.update(part, real=False)
    return metric


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_a_superset_in_the_same_order(name: str) -> None:
    wanted, got = (
        list(inspect.signature(getattr(place, name).__init__).parameters.values()) for place in (theirs, ours)
    )
    wanted = [p for p in wanted if p.kind != p.VAR_KEYWORD]
    named = {p.name: p for p in got}
    assert [p.name for p in got][: len(wanted)] == [p.name for p in wanted]
    assert all(named[p.name].default == p.default for p in wanted)


@pytest.mark.parametrize("normalize", [False, True])
def test_fid_of_a_custom_module(normalize: bool) -> None:
    pair = [place.FrechetInceptionDistance(Colours(), normalize=normalize) for place in (theirs, ours)]
    wanted, got = (feed(metric, normalize).compute() for metric in pair)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=0)


def test_fid_of_the_reference_network(inception_weights: Path) -> None:
    for antialias in (True, False):
        options = {"feature": 192, "feature_extractor_weights_path": str(inception_weights), "antialias": antialias}
        wanted, got = (feed(place.FrechetInceptionDistance(**options), n=3).compute() for place in (theirs, ours))
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=0)


def test_kid_draws_the_subsets_that_torchmetrics_draws() -> None:
    pair = [place.KernelInceptionDistance(Colours(), subsets=4, subset_size=10) for place in (theirs, ours)]
    results, following = [], []
    for metric in pair:
        feed(metric)
        torch.manual_seed(3)
        results.append(metric.compute())
        following.append(torch.rand(1))
    for wanted, got in zip(*results):
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(*following)


def test_inception_score_of_one_split() -> None:
    wanted, got = (feed(place.InceptionScore(Colours(), splits=1)) for place in (theirs, ours))
    torch.testing.assert_close(got.compute()[0], _quietly(wanted)[0], rtol=1e-4, atol=0)


def _quietly(metric: Any) -> Any:
    with pytest.warns(UserWarning, match="degrees of freedom"):
        return metric.compute()


def test_inception_score_returns_mean_and_deviation_over_splits() -> None:
    mean, deviation = feed(ours.InceptionScore(Colours(), splits=4)).compute()
    scores = []
    for split in range(4):
        p = Colours()(images(1, 24)[split::4]).double().softmax(1)
        scores.append((p * (p / p.mean(0)).log()).sum(1).mean().exp())
    assert mean.item() == pytest.approx(torch.stack(scores).mean().item(), rel=1e-6)
    assert deviation.item() == pytest.approx(torch.stack(scores).std().item(), rel=1e-5)


@pytest.mark.parametrize("name", [*NAMES[:2], NAMES[3]])
@pytest.mark.parametrize("kept", [True, False])
def test_real_features_survive_a_reset_when_asked(name: str, kept: bool) -> None:
    options = {"subset_size": 10} if name == NAMES[1] else {}
    metric = feed(getattr(ours, name)(Colours(), reset_real_features=not kept, **options))
    metric.reset()
    assert (metric.num_samples("real"), metric.num_samples("fake")) == (24 if kept else 0, 0)


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        (NAMES[0], {"feature": 100}, ValueError),
        (NAMES[0], {"feature": [1]}, TypeError),
        (NAMES[0], {"normalize": 1}, ValueError),
        (NAMES[0], {"reset_real_features": 1}, ValueError),
        (NAMES[1], {"subsets": 0}, ValueError),
        (NAMES[1], {"subset_size": 0}, ValueError),
        (NAMES[1], {"degree": 0}, ValueError),
        (NAMES[2], {"feature": "logits"}, ValueError),
    ],
)
def test_bad_arguments_raise_what_torchmetrics_raises(name: str, options: dict[str, Any], error: type) -> None:
    for place in (theirs, ours):
        with pytest.raises(error):
            getattr(place, name)(**({"feature": Colours()} | options))


def test_too_few_samples_raise_what_torchmetrics_raises() -> None:
    for place in (theirs, ours):
        metric = place.FrechetInceptionDistance(Colours(), normalize=False)
        metric.update(images(0, 1), real=True)
        metric.update(images(1, 4), real=False)
        with pytest.raises(RuntimeError):
            metric.compute()
        metric = place.KernelInceptionDistance(Colours(), subset_size=10)
        metric.update(images(0, 9), real=True)
        metric.update(images(1, 9), real=False)
        with pytest.raises(ValueError, match="subset_size"):
            metric.compute()


def test_forward_gives_torchmetrics_types() -> None:
    fid = ours.FrechetInceptionDistance(Colours())
    assert fid(images(1, 24), real=True) is None
    assert fid(images(2, 24), real=False).shape == ()
    assert len(ours.InceptionScore(Colours(), splits=2)(images(1, 24))) == 2


def test_in_a_collection_networks_are_not_mixed_up() -> None:
    halved = nn.Sequential(Colours(), nn.Linear(12, 12, bias=False))
    nn.init.eye_(halved[1].weight)
    with torch.no_grad():
        halved[1].weight.mul_(0.5)
    collection = MetricCollection(
        {"whole": ours.FrechetInceptionDistance(Colours()), "halved": ours.FrechetInceptionDistance(halved)}
    )
    for seed, real in ((1, True), (2, False)):
        collection.update(images(seed, 24), real=real)
    values = collection.compute()
    assert values["halved"].item() == pytest.approx(values["whole"].item() / 4, rel=1e-5)


def test_bias_is_told() -> None:
    metric = feed(ours.FrechetInceptionDistance(Colours()), n=5)
    with pytest.warns(BiasWarning, match="5 real samples of 12 features"):
        metric.compute()
