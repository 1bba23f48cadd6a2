"""The drop-ins where users lean on more than the numbers: names, wrappers, dtypes, checkpoints, errors."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torchmetrics.image as theirs
from reference_weights import draw_images
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.wrappers import (
    BootStrapper,
    FeatureShare,
    LambdaInputTransformer,
    MetricTracker,
    MinMaxMetric,
    MultitaskWrapper,
    Running,
)

from streaming_metrics import FID, PRDC, GenerativeMetrics, Reference
from streaming_metrics import image as ours
from streaming_metrics.extractors import InceptionV3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
FRECHET, KERNEL, SCORE, MEMORY = NAMES
NOT_MIRRORED = {"features", "sync_on_compute", "compute_with_cache"}
"""Of instances: see the module's docstring; the last two are what this library does without."""


class Colours(nn.Module):
    """A network of the user's, without weights, or with some of a dtype."""

    passes = 0

    def __init__(self, dtype: torch.dtype | None = None, squeeze: bool = False) -> None:
        super().__init__()
        self.squeeze = squeeze
        self.scale = None if dtype is None else nn.Parameter(torch.full((12,), 0.02, dtype=dtype))

    def forward(self, imgs: Tensor) -> Tensor:
        type(self).passes += 1
        rows = nn.functional.adaptive_avg_pool2d(imgs.float(), 2).flatten(1)
        rows = rows / 50 if self.scale is None else rows.to(self.scale.dtype) * self.scale
        return rows.squeeze() if self.squeeze else rows


class Convolution(nn.Module):
    """A network that takes images in its own dtype alone."""

    num_features = 6

    def __init__(self, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Conv2d(3, 6, 3, dtype=torch.float32)
        self.net.to(dtype or torch.get_default_dtype())

    def forward(self, imgs: Tensor) -> Tensor:
        return self.net(imgs).mean((2, 3))


def images(seed: int, n: int = 24, high: int = 256) -> Tensor:
    return torch.randint(0, high, (n, 3, 40, 36), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


REAL, FAKE = images(1), images(2, high=200)


def build(name: str, feature: Any = None, place: Any = ours, **options: Any) -> Any:
    small = {KERNEL: {"subsets": 3, "subset_size": 10}, SCORE: {"splits": 1}}.get(name, {})
    return getattr(place, name)(Colours() if feature is None else feature, **(small | options))


def feed(metric: Any, real: Tensor = REAL, fake: Tensor = FAKE) -> Any:
    for imgs, is_real in ((real, True), (fake, False)):
        if not isinstance(metric, (ours.InceptionScore, theirs.InceptionScore)):
            metric.update(imgs=imgs, real=is_real)
        elif not is_real:
            metric.update(imgs=imgs)
    return metric


def value_of(metric: Any) -> Any:
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="std.*degrees of freedom")
        return metric.compute()


def assert_same(got: Any, wanted: Any, rtol: float = 1e-4) -> None:
    torch.testing.assert_close(got, wanted, rtol=rtol, atol=1e-5, equal_nan=True)


# --- names, arguments, attributes -------------------------------------------------------------------------------------


def parameters(function: Any) -> list[tuple[str, Any]]:
    kept = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in kept if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_method_takes_torchmetrics_parameters_first(name: str) -> None:
    wanted, got = getattr(theirs, name), getattr(ours, name)
    methods = {m for m, _ in inspect.getmembers(wanted, inspect.isfunction) if not m.startswith("_")} | {"__init__"}
    assert {"update", "compute", "forward", "reset", "set_dtype", "plot", "merge_state"} <= methods
    for method in methods:
        expected = parameters(getattr(wanted, method))
        assert parameters(getattr(got, method))[: len(expected)] == expected, method


@pytest.mark.parametrize("name", NAMES)
def test_every_public_attribute_is_there_and_says_the_same(name: str) -> None:
    wanted, got = build(name, place=theirs, normalize=True), build(name, normalize=True)
    public = [a for a in dir(wanted) if not a.startswith("_") and not callable(getattr(wanted, a))]
    assert {"normalize", "higher_is_better", "feature_network", "device", "dtype"} <= set(public)
    for attribute in set(public) - NOT_MIRRORED - {"metric_state", "call_super_init", "dump_patches"}:
        assert hasattr(got, attribute), attribute
        if isinstance(value := getattr(wanted, attribute), (bool, int, float, str, torch.dtype, type(None))):
            assert getattr(got, attribute) == value, attribute
    assert isinstance(got.inception, nn.Module)
    assert_same(got.inception(REAL), wanted.inception(REAL))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_constructor_fixed_is_not_set_in_vain(name: str) -> None:
    metric = build(name)
    fixed = {
        KERNEL: ["subsets", "degree", "coef", "fake_features"],
        FRECHET: ["real_features_sum"],
        SCORE: ["splits"],
        MEMORY: ["cosine_distance_eps", "real_features"],
    }
    for attribute in ["normalize", "used_custom_model", *fixed[name]]:
        with pytest.raises(AttributeError):
            setattr(metric, attribute, torch.ones(12))
    with pytest.raises(AttributeError, match="Remedy: a new metric with feature=module"):
        metric.inception = Colours()


def test_states_are_read_under_torchmetrics_names() -> None:
    wanted, got = (feed(build(FRECHET, place=place)) for place in (theirs, ours))
    for state in ("features_sum", "features_cov_sum", "features_num_samples"):
        for role in ("real", "fake"):
            assert_same(getattr(got, f"{role}_{state}"), getattr(wanted, f"{role}_{state}"), rtol=1e-6)
    wanted, got = (feed(build(KERNEL, place=place)) for place in (theirs, ours))
    assert_same(torch.cat(got.fake_features), torch.cat(wanted.fake_features))
    got.reset()
    assert got.fake_features == []


# --- wrappers ---------------------------------------------------------------------------------------------------------


def test_features_are_shared_and_the_values_are_those_of_metrics_alone() -> None:
    module = Colours()
    alone = {name: value_of(feed(build(name, module))) for name in NAMES}
    shared = FeatureShare([build(name, module) for name in NAMES])
    before = Colours.passes
    for imgs, real in ((REAL[:10], True), (REAL[10:], True), (FAKE, False)):
        shared.update(imgs, real=real)
    assert Colours.passes - before == 3
    got = value_of(shared)
    assert_same(got[FRECHET], alone[FRECHET], rtol=0)
    assert_same(got[KERNEL], alone[KERNEL], rtol=0)
    everything = build(SCORE, module)
    everything.update(torch.cat([REAL, FAKE]))
    assert_same(got[SCORE], value_of(everything), rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.slow
def test_one_pass_of_inception_serves_all_three(inception_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    extract = InceptionV3.extract
    monkeypatch.setattr(InceptionV3, "extract", lambda self, x: (passes.append(len(x)), extract(self, x))[1])
    options = {"feature_extractor_weights_path": str(inception_weights)}
    with pytest.warns(UserWarning, match="will save all extracted features"):
        kid = ours.KernelInceptionDistance(subsets=2, subset_size=2, **options)
    score, alone = (ours.InceptionScore(splits=1, **options) for _ in range(2))
    shared = FeatureShare([score, kid, ours.FrechetInceptionDistance(**options)])
    batches = draw_images(2, 64, 64), draw_images(3, 64, 64, seed=1)
    for batch, real in zip(batches, (True, False)):
        shared.update(batch, real=real)
    assert passes == [2, 3]
    networks = [module for metric in shared.values() for module in metric.extractor.modules()]
    assert len({id(module) for module in networks if isinstance(module, InceptionV3)}) == 1
    for batch in batches:
        alone.update(batch)
    assert_same(value_of(score), value_of(alone), rtol=0)
    assert [shared[FRECHET].num_samples(role) for role in ("real", "fake")] == [2, 3]


@pytest.mark.filterwarnings("ignore:The network to share:UserWarning")
def test_networks_that_differ_are_not_shared() -> None:
    other = nn.Sequential(Colours(), nn.Linear(12, 5))
    shared = FeatureShare({"a": build(FRECHET), "b": build(FRECHET, other), "c": build(FRECHET, place=theirs)})
    feed(shared)
    got = value_of(shared)
    assert_same(got["b"], value_of(feed(build(FRECHET, other))), rtol=0)
    assert_same(got["a"], got["c"])


@pytest.mark.filterwarnings("ignore:The network to share:UserWarning")
def test_resizes_that_differ_are_not_shared(inception_weights: Path) -> None:
    def metric(antialias: bool) -> Any:
        weights = str(inception_weights)
        return ours.FrechetInceptionDistance(64, feature_extractor_weights_path=weights, antialias=antialias)

    batches = draw_images(2, 320, 320), draw_images(2, 320, 320, seed=1)
    got = value_of(feed(FeatureShare({"a": metric(True), "b": metric(False)}), *batches))
    assert_same(got["b"], value_of(feed(metric(False), *batches)), rtol=0)
    assert not torch.equal(got["a"], got["b"])


def test_modules_that_only_their_settings_tell_apart_are_not_shared() -> None:
    class Pool(nn.Module):
        def __init__(self, side: int) -> None:
            super().__init__()
            self.side = side

        def forward(self, imgs: Tensor) -> Tensor:
            return imgs.float()[:, :, : self.side].mean((2, 3))

    shared = FeatureShare({"a": build(FRECHET, Pool(2)), "b": build(FRECHET, Pool(30))})
    got = value_of(feed(shared))
    assert_same(got["b"], value_of(feed(build(FRECHET, Pool(30)))), rtol=0)
    assert not torch.equal(got["a"], got["b"])


def test_a_batch_that_is_written_over_is_looked_at_again() -> None:
    module = Colours()
    shared, alone = FeatureShare([build(FRECHET, module), build(KERNEL, module)]), build(FRECHET, module)
    buffer = REAL.numpy().copy()
    imgs = torch.from_numpy(buffer)
    for seed, real in ((1, True), (2, False), (3, False)):
        buffer[:] = images(seed).numpy()
        shared.update(imgs, real=real)
        alone.update(images(seed), real=real)
    assert_same(value_of(shared)[FRECHET], value_of(alone), rtol=0)


def test_metrics_that_share_are_copied_and_pickled() -> None:
    module = Colours()
    shared = feed(FeatureShare([build(FRECHET, module), build(KERNEL, module)]))
    wanted = value_of(shared)
    before = Colours.passes
    for again in (copy.deepcopy(shared), pickle.loads(pickle.dumps(shared)), shared.clone()):
        assert_same(value_of(again), wanted, rtol=0)
        again.update(FAKE, real=False)
    assert Colours.passes - before == 3


@pytest.mark.parametrize("name", [FRECHET, KERNEL, MEMORY])
@pytest.mark.parametrize("updates", [1, 2, 5])
def test_a_running_window_counts_what_is_in_it(name: str, updates: int) -> None:
    # Subsets of all that is there, for a draw of fewer depends on ids, which start anew in every slot.
    options = {"subset_size": 24 * min(3, updates)} if name == KERNEL else {}
    running, alone = Running(build(name, **options), window=6), build(name, **options)
    for seed in range(updates):
        running.update(images(seed), real=True)
        running.update(images(seed + 9, high=200), real=False)
    for seed in range(max(0, updates - 3), updates):
        feed(alone, images(seed), images(seed + 9, high=200))
    assert_same(value_of(running), value_of(alone), rtol=1e-6)
    running.reset()
    with pytest.raises(ValueError, match="samples"):
        running.compute()


def test_a_running_window_before_a_frozen_real_side(tmp_path: Path) -> None:
    def features(seed: int) -> Tensor:
        return torch.randn(30, 6, generator=torch.Generator().manual_seed(seed))

    def metric(**options: Any) -> GenerativeMetrics:
        return GenerativeMetrics([FID(), PRDC(k=3)], None, num_features=6, **options)

    real = metric()
    real.update(features(0), real=True)
    real.save_reference(tmp_path / "real")
    running, alone = (wrap(metric(reference=tmp_path / "real")) for wrap in (lambda m: Running(m, 4), lambda m: m))
    for seed in (1, 2):
        running.update(features(seed), real=False)
        alone.update(features(seed), real=False)
    assert_same(running.compute(), alone.compute(), rtol=1e-9)
    assert isinstance(Reference.load(tmp_path / "real"), Reference)


def test_defaults_take_no_room() -> None:
    metric = build(FRECHET, ours_of_width(500))
    assert sum(default.untyped_storage().nbytes() for default in metric._defaults.values()) < 200


def ours_of_width(width: int) -> nn.Module:
    module = Colours()
    module.num_features = width
    return module


def multitask(metric: Any) -> Any:
    wrapper = MultitaskWrapper({"a": metric, "b": metric.clone()})
    wrapper.update({"a": REAL, "b": FAKE}, {"a": True, "b": True})
    wrapper.update({"a": FAKE, "b": REAL}, {"a": False, "b": False})
    return wrapper.compute()


def tracked(metric: Any) -> Any:
    tracker = MetricTracker(metric)
    for high in (200, 250, 150):
        tracker.increment()
        feed(tracker, REAL, images(2, high=high))
    best, step = tracker.best_metric(return_step=True)
    assert step == 1
    return torch.tensor(best), tracker.compute_all()


def flipped(metric: Any) -> Any:
    wrapper = LambdaInputTransformer(metric, lambda imgs: imgs.flip(2))
    wrapper.update(REAL, True)
    wrapper.update(FAKE, False)
    return wrapper.compute()


WRAPPED: dict[str, Callable[[Any], Any]] = {
    "MetricCollection": lambda m: value_of(feed(MetricCollection({"a": m, "b": m.clone()}))),
    "MetricTracker": tracked,
    "MinMaxMetric": lambda m: value_of(feed(MinMaxMetric(m))),
    "MultitaskWrapper": multitask,
    "LambdaInputTransformer": flipped,
    "composition": lambda m: value_of(feed(2 * m + 1)),
    "clone": lambda m: value_of(feed(m.clone())),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_wrappers_give_what_they_give_with_torchmetrics(wrapper: str) -> None:
    wanted, got = (WRAPPED[wrapper](build(FRECHET, place=place)) for place in (theirs, ours))
    assert_same(got, wanted)


@pytest.mark.filterwarnings("ignore::streaming_metrics.RepeatsWarning")  # bootstraps repeat samples
def test_bootstraps_spread_around_the_value() -> None:
    metric = BootStrapper(build(FRECHET), num_bootstraps=6)
    torch.manual_seed(0)
    value = value_of(feed(build(FRECHET)))
    bootstrapped = value_of(feed(metric))
    assert 0 < bootstrapped["std"] < value
    assert abs(bootstrapped["mean"] - value) < value


# --- dtypes and shapes ------------------------------------------------------------------------------------------------


@pytest.fixture
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_modules_run_in_their_own_dtype(name: str, dtype: torch.dtype) -> None:
    wanted, got = (value_of(feed(build(name, Colours(dtype), place))) for place in (theirs, ours))
    few_digits = dtype == torch.float16
    several = got if isinstance(got, tuple) else (got,)
    assert {part.dtype for part in several} == {torch.promote_types(dtype, torch.float32)}
    rough = {"rtol": 0.05, "atol": 0.05} if few_digits else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(got, wanted, check_dtype=not few_digits, equal_nan=True, **rough)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
@pytest.mark.parametrize("name", [FRECHET, KERNEL, MEMORY])
def test_images_are_given_in_the_modules_dtype(name: str, dtype: torch.dtype) -> None:
    scaled = (REAL / 255).to(dtype), (FAKE / 255).to(dtype)
    got = value_of(feed(build(name, Convolution(dtype), normalize=True), *scaled))
    wanted = value_of(feed(build(name, Convolution(torch.float64), normalize=True), *(x.double() for x in scaled)))
    torch.testing.assert_close(got, wanted, rtol=0.05, atol=1e-5, check_dtype=dtype == torch.float64)


@pytest.mark.usefixtures("float64_by_default")
@pytest.mark.parametrize("name", [FRECHET, KERNEL, MEMORY])
def test_modules_made_under_another_default_dtype(name: str) -> None:
    scaled = REAL / 255, FAKE / 255
    wanted, got = (
        value_of(feed(build(name, Convolution(), place, normalize=True), *scaled)) for place in (theirs, ours)
    )
    assert_same(got, wanted)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_inception_score_alone_scales_images_for_a_module(normalize: bool) -> None:
    module = Colours(torch.float32)
    given = FAKE / 255 if normalize else FAKE
    wanted, got = (
        value_of(feed(build(SCORE, module, place, normalize=normalize), fake=given)) for place in (theirs, ours)
    )
    assert_same(got[0], wanted[0], rtol=1e-3)
    assert got[0] > 1.0001


@pytest.mark.usefixtures("float64_by_default")
def test_the_reference_network_is_the_same_under_another_default(inception_weights: Path) -> None:
    values = []
    for dtype in (torch.float64, torch.float32):
        torch.set_default_dtype(dtype)
        metric = ours.FrechetInceptionDistance(64, feature_extractor_weights_path=str(inception_weights))
        values.append(value_of(feed(metric, REAL[:3], FAKE[:3])))
    assert torch.equal(*values)


def test_set_dtype_makes_the_result_float64_and_changes_no_state() -> None:
    metric = feed(build(FRECHET))
    before = value_of(metric)
    assert metric.set_dtype(torch.float64) is metric
    assert value_of(metric).dtype == torch.float64
    assert torch.equal(value_of(metric).float(), before)
    assert value_of(metric.set_dtype("half")).dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_one_may_come_back_squeezed(name: str) -> None:
    squeezed, whole = (build(name, Colours(squeeze=squeeze)) for squeeze in (True, False))
    for one in range(12):
        for metric in (squeezed, whole):
            feed(metric, REAL[one : one + 1], FAKE[one : one + 1])
    assert squeezed.num_samples("fake") == 12
    assert_same(value_of(squeezed), value_of(whole), rtol=0)


@pytest.mark.parametrize("name", [KERNEL, SCORE])
def test_a_modules_width_is_found_where_torchmetrics_needs_none(name: str) -> None:
    class Grey(nn.Module):
        def forward(self, imgs: Tensor) -> Tensor:
            assert imgs.shape[1:] == (1, 28, 28)
            assert imgs.is_floating_point()
            return imgs.flatten(1)[:, ::90]

    grey = torch.rand(24, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    wanted, got = (value_of(feed(build(name, Grey(), place), grey, 1 - grey)) for place in (theirs, ours))
    assert_same(got, wanted)


# --- checkpoints ------------------------------------------------------------------------------------------------------


class Model(nn.Module):
    """A module with metrics, as a LightningModule holds them."""

    def __init__(self, place: Any, persistent: bool = False) -> None:
        super().__init__()
        self.net = nn.Linear(2, 2)
        self.fid, self.kid = build(FRECHET, Convolution(), place), build(KERNEL, Convolution(), place)
        self.inception_score = build(SCORE, Convolution(), place)
        for metric in (self.fid, self.kid, self.inception_score):
            metric.persistent(persistent)


def test_a_checkpoint_of_torchmetrics_is_loaded_strictly() -> None:
    saved, model = Model(theirs).state_dict(), Model(ours)
    assert {"fid.inception.net.weight", "kid.inception.net.bias"} < set(saved)
    model.load_state_dict(saved, strict=True)
    assert torch.equal(model.net.weight, saved["net.weight"])
    assert "fid.inception.net.weight" in saved
    with pytest.raises(RuntimeError, match=r"fid.inception_of_another"):
        model.load_state_dict(saved | {"fid.inception_of_another": torch.ones(1)}, strict=True)


def test_states_of_torchmetrics_in_a_checkpoint_are_left_out_with_a_line() -> None:
    before = Model(theirs, persistent=True)
    for metric in (before.fid, before.kid, before.inception_score):
        feed(metric, REAL / 255, FAKE / 255)
    model = Model(ours)
    feed(model.fid, REAL / 255, FAKE / 255)
    kept = value_of(model.fid)
    with pytest.warns(UserWarning, match="states of torchmetrics, which do not say of what network") as told:
        model.load_state_dict(before.state_dict(), strict=True)
    assert len(told) == 3
    assert torch.equal(value_of(model.fid), kept)


def test_a_checkpoint_of_ours_comes_back() -> None:
    saved = feed(Model(ours, persistent=True).fid, REAL / 255, FAKE / 255)
    again = build(FRECHET, Convolution())
    again.load_state_dict(saved.state_dict(), strict=True)
    assert torch.equal(value_of(again), value_of(saved))


# --- errors -----------------------------------------------------------------------------------------------------------

BAD = [
    (NAMES, {"normalize": 1}, ValueError, "Argument `normalize` expected to be a bool"),
    (NAMES, {"feature": 100}, ValueError, "Integer input to argument `feature` must be one of .*, but got 100"),
    (NAMES, {"feature": [1]}, TypeError, "Got unknown input to argument `feature`"),
    ([FRECHET, MEMORY], {"feature": "2048"}, TypeError, "Got unknown input to argument `feature`"),
    ([KERNEL, SCORE], {"feature": "2048"}, ValueError, "Integer input to argument `feature` must be one of"),
    (
        [FRECHET, KERNEL, MEMORY],
        {"reset_real_features": 1},
        ValueError,
        "Argument `reset_real_features` expected to be a bool",
    ),
    ([MEMORY], {"cosine_distance_eps": 1}, ValueError, "Argument `cosine_distance_eps` expected to be a float greater"),
    ([MEMORY], {"cosine_distance_eps": 1.5}, ValueError, "Argument `cosine_distance_eps` expected to be a float great"),
    ([KERNEL], {"subsets": 0}, ValueError, "Argument `subsets` expected to be integer larger than 0"),
    ([KERNEL], {"subsets": 2.5}, ValueError, "Argument `subsets` expected to be integer larger than 0"),
    ([KERNEL], {"subset_size": -1}, ValueError, "Argument `subset_size` expected to be integer larger than 0"),
    ([KERNEL], {"degree": -1}, ValueError, "Argument `degree` expected to be integer larger than 0"),
    ([KERNEL], {"gamma": -1.0}, ValueError, "Argument `gamma` expected to be `None` or float larger than 0"),
    ([KERNEL], {"gamma": "auto"}, ValueError, "Argument `gamma` expected to be `None` or float larger than 0"),
    ([KERNEL], {"gamma": float("nan")}, ValueError, "Argument `gamma` expected to be `None` or float larger than 0"),
    ([KERNEL], {"coef": -1.0}, ValueError, "Argument `coef` expected to be float larger than 0"),
    ([KERNEL], {"coef": None}, ValueError, "Argument `coef` expected to be float larger than 0"),
    (NAMES, {"sync_on_compute": None}, ValueError, "Expected keyword argument `sync_on_compute` to be a `bool`"),
    (NAMES, {"antialiased": True}, ValueError, "Unexpected keyword arguments: `antialiased`"),
]


@pytest.mark.parametrize(
    ("name", "options", "error", "message"), [(name, *rest) for names, *rest in BAD for name in names]
)
def test_constructors_refuse_what_torchmetrics_refuses(
    name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    for place in (theirs, ours):
        with pytest.raises(error, match=message):
            getattr(place, name)(**({"feature": Colours()} | options))


def test_lists_of_features_are_moved_to_the_cpu_where_there_are_none() -> None:
    for name in (FRECHET, SCORE):
        build(name, compute_on_cpu=True)
    with pytest.raises(ValueError, match="compute_on_cpu is not supported"):
        build(KERNEL, compute_on_cpu=True)


def test_a_width_of_another_type_is_refused() -> None:
    module = Colours()
    module.num_features = "twelve"
    for place in (theirs, ours):
        with pytest.raises(TypeError, match=r"Expected `self.inception.num_features` to be of type int or Tensor"):
            place.FrechetInceptionDistance(module)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (FRECHET, RuntimeError, "More than one sample is required for both the real and fake"),
        (KERNEL, ValueError, "Argument `subset_size` should be smaller than the number of samples"),
    ],
)
def test_too_few_samples_are_told_in_torchmetrics_words(name: str, error: type[Exception], message: str) -> None:
    for place in (theirs, ours):
        metric = feed(build(name, place=place), REAL[:1], FAKE[:1])
        with pytest.raises(error, match=message):
            metric.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_no_samples_at_all() -> None:
    for place in (theirs, ours):
        with pytest.raises(ValueError, match="No samples to concatenate"):
            build(SCORE, place=place).compute()


GIVEN = [
    (False, REAL / 255, "dtype=torch.uint8, got torch.float32. Remedy: normalize=True"),
    (False, REAL.long(), "dtype=torch.uint8, got torch.int64. Remedy: images.to"),
    (False, REAL.numpy(), "dtype=torch.uint8, got ndarray"),
    (True, REAL.float(), r"normalize=True: expected floats in \[0, 1\], got 0 to 255. Remedy: .*normalize=False"),
    (True, REAL / 127.5 - 1, r"normalize=True: expected floats in \[0, 1\], got -1 to 1. Remedy: \(imgs \+ 1\) / 2"),
    (True, REAL.long(), "got torch.int64"),
    (True, torch.full((2, 3, 8, 8), torch.nan), "NaN"),
    (False, REAL[0], r"images\.unsqueeze\(0\)"),
]


CASES = [(FRECHET, *case) for case in GIVEN] + [(name, *case) for name in (KERNEL, SCORE, MEMORY) for case in GIVEN[:1]]


@cache
def refusing(name: str, normalize: bool, weights: Path) -> Any:
    """Return a metric, one for all that it refuses."""
    return build(name, 64, normalize=normalize, feature_extractor_weights_path=str(weights))


@pytest.mark.parametrize(("name", "normalize", "given", "message"), CASES)
def test_images_are_refused_in_the_terms_of_normalize(
    name: str, normalize: bool, given: Any, message: str, inception_weights: Path
) -> None:
    metric = refusing(name, normalize, inception_weights)
    with pytest.raises(ValueError, match=message) as caught:
        feed(metric, given, given)
    assert "value_range" not in str(caught.value)
    assert metric.num_samples("real") == metric.num_samples("fake") == 0


def test_theirs_says_the_same_of_floats(inception_weights: Path) -> None:
    metric = theirs.FrechetInceptionDistance(64, feature_extractor_weights_path=str(inception_weights))
    with pytest.raises(ValueError, match=r"Expecting image as torch\.Tensor with dtype=torch\.uint8"):
        metric.update(REAL / 255, real=True)


def test_uint8_is_taken_with_normalize_too(inception_weights: Path) -> None:
    options = {"feature_extractor_weights_path": str(inception_weights)}
    values = [
        value_of(feed(build(FRECHET, 64, normalize=normalize, **options), REAL[:3], FAKE[:3]))
        for normalize in (True, False)
    ]
    assert torch.equal(*values)
