"""The six networks of FDr6 under random weights, small ones in their places, against timm as the authors call it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import timm
import torch
from reference_weights import draw_images
from safetensors.torch import load_file, save_file
from timm.data.config import resolve_data_config
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn.functional import interpolate
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from streaming_metrics import BiasWarning, FDr6, GenerativeMetrics
from streaming_metrics.extractors import InceptionV3, six_networks
from streaming_metrics.extractors.names import NETWORKS
from streaming_metrics.extractors.preprocess import adm_crop
from streaming_metrics.extractors.registry import resolve
from streaming_metrics.extractors.six_networks import PARTS, Part, SixNetworks, pooled
from streaming_metrics.measures.frechet_ratios import DIVISORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming_metrics import Features

SMALL = (
    Part("convnext", "test_convnext.r160_in1k", 224),
    Part("dinov2", "test_vit.r160_in1k", 250),  # which patches of 16 do not divide
    Part("mae", "test_vit.r160_in1k", 224),
    Part("siglip", "test_vit.r160_in1k", 160),
    Part("clip", "test_vit.r160_in1k", 256),
)
IMAGES = draw_images(3, 300, 280, seed=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("six")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for model in {part.model for part in SMALL}:  # with their classifiers, as published
            save_file(timm.create_model(model).state_dict(), folder / f"{model}.safetensors")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _small_parts(folder: Path, inception_weights: Path) -> Iterator[None]:
    """Small networks in place of the five, and an Inception of no published name, for its digest is another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(six_networks, "PARTS", SMALL)
        patch.setattr(six_networks, "FILE", "inception.pth")
        shutil.copy(inception_weights, folder / "inception.pth")
        yield


@pytest.fixture(scope="module")
def small(folder: Path) -> SixNetworks:
    found = resolve("fdr6", weights=folder)
    assert isinstance(found, SixNetworks)
    return found


def theirs(part: Part, folder: Path, pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """As the authors write it: of images of 256 pixels on [0, 1]."""
    patches: Any = {} if "convnext" in part.model else {"dynamic_img_size": True, "dynamic_img_pad": True}
    network: Any = timm.create_model(part.model, num_classes=0, **patches).eval()
    network.load_state_dict(load_file(folder / f"{part.model}.safetensors"), strict=False)
    if part.side != 256:
        size = (part.side, part.side)
        pixels = interpolate(pixels, size=size, mode="bicubic", align_corners=False, antialias=True)
    config = resolve_data_config(network.pretrained_cfg)
    mean, std = (torch.tensor(config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = network.forward_features((pixels - mean) / std)
    return found.mean([2, 3]) if found.ndim == 4 else found[:, 0]


def errors(found: Features, folder: Path, dtype: torch.dtype) -> dict[str, float]:
    pixels = adm_crop(IMAGES, 256).float() / 255
    expected = {part.column: theirs(part, folder, pixels, dtype).float() for part in SMALL}
    ours: Any = {column: found.column(column) for column in expected}
    assert {rows.dtype for rows in ours.values()} == {torch.float32}
    return {column: float((ours[column] - rows).norm() / rows.norm()) for column, rows in expected.items()}


def test_each_column_is_the_authors_network_under_autocast(small: SixNetworks, folder: Path) -> None:
    exact = SixNetworks(folder, precision="fp32")(IMAGES)
    assert max(errors(exact, folder, torch.float32).values()) < 1e-4
    assert max(errors(small(IMAGES), folder, torch.bfloat16).values()) < 1e-4
    assert min(errors(exact, folder, torch.bfloat16).values()) > 1e-3


def test_the_inception_sees_minus_one_to_one(small: SixNetworks, folder: Path) -> None:
    network = InceptionV3(folder / "inception.pth")
    cropped = adm_crop(IMAGES, 256).float()
    pixels = interpolate_bilinear_2d_like_tensorflow1x(cropped / 255, (299, 299), align_corners=False) * 2 - 1
    network._resize = lambda *_: pixels
    expected = network(IMAGES).pool
    ours = small(IMAGES).column("inception")
    assert expected is not None
    assert ours is not None
    assert ((ours - expected).norm() / expected.norm()).item() < 1e-4


def test_patches_without_a_token_are_pooled_by_attention() -> None:
    options: dict[str, Any] = {"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 1, "num_heads": 2}
    network = VisionTransformer(**options, num_classes=0, class_token=False, global_pool="map").eval()
    with torch.no_grad():
        found = network.forward_features(draw_images(2, 32, 32).float())
        assert torch.equal(pooled(network, found), network.forward_head(found))


def test_images_are_scored_by_six_networks_that_keys_and_signature_name(small: SixNetworks) -> None:
    metric = GenerativeMetrics([FDr6()], extractor=small)
    for role in (True, False):
        metric.update(draw_images(3, 64, 64, seed=int(role)), real=role)
    with pytest.warns(BiasWarning, match="FDr6 from 3"):
        values = metric.compute()
    assert set(values) == {f"{key}_six_networks" for key in FDr6().keys}
    assert all(value.isfinite() for value in values.values())
    assert re.search(rf"fdr6\|ext:fdr6-{small.weights_id}\|resize:adm-256\|real:3\|fake:3\|bf16", metric.signature())


def test_other_weights_have_another_fingerprint(small: SixNetworks, folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    with torch.random.fork_rng():
        save_file(
            timm.create_model("test_convnext.r160_in1k").state_dict(), other / "test_convnext.r160_in1k.safetensors"
        )
    changed = SixNetworks(other)
    assert changed.fingerprint != small.fingerprint
    assert not torch.equal(changed(IMAGES).column("convnext"), small(IMAGES).column("convnext"))  # pyright: ignore[reportArgumentType]


def test_a_missing_file_is_named(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "test_convnext.r160_in1k.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"test_convnext\.r160_in1k\.safetensors"):
        SixNetworks(other)


def test_the_published_six_are_known_to_timm_and_have_a_divisor_each() -> None:
    known = timm.list_pretrained()
    assert all(part.model in known for part in PARTS)
    assert ["inception", *(part.column for part in PARTS)] == list(DIVISORS)
    assert NETWORKS["fdr6"] == ("streaming_metrics.extractors.six_networks:SixNetworks",)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "width"), [*zip(PARTS, (1024, 1024, 1024, 1152, 1024))], ids=str)
def test_published_networks_are_of_the_widths_that_they_should_be(part: Part, width: int) -> None:
    patches: Any = {} if part.column == "convnext" else {"dynamic_img_size": True, "dynamic_img_pad": True}
    with torch.device("meta"):
        network: Any = timm.create_model(part.model, num_classes=0, **patches).eval()
        found = network.forward_features(torch.zeros(2, 3, part.side, part.side))
        assert pooled(network, found).shape == (2, width)
