"""Fréchet distances by other names: spatial features, reconstructions, DINOv2's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from reference_weights import draw_images
from scores import normal
from torch import Tensor, nn

from streaming_metrics import FID, RFID, SFID, BiasWarning, FDDINOv2, Features, GenerativeMetrics, NotEnoughSamples
from streaming_metrics.extractors import InceptionV3

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = draw_images(3, 40, 56, seed=1)


def spatial(rows: Tensor, other: Tensor) -> float:
    metric = GenerativeMetrics([SFID()], extractor=None, widths={"spatial": rows.shape[1]})
    for part in rows.split(7):
        metric.update(Features(spatial=part), real=True)
    for part in other.split(5):
        metric.update(Features(spatial=part), real=False)
    return float(metric.compute()["sfid_features"])


def test_it_is_the_distance_of_two_gaussians() -> None:
    real, fake = normal(0, 60, 4), normal(1, 50, 4, std=2.0)
    means = [rows.double().numpy().mean(0) for rows in (real, fake)]
    covariances = [np.cov(rows.double().numpy(), rowvar=False) for rows in (real, fake)]
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real).sum()
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * root
    assert spatial(real, fake) == pytest.approx(expected, rel=1e-9)
    assert spatial(real, real) == pytest.approx(0, abs=1e-9)
    with pytest.warns(BiasWarning, match="SFID from 4 real samples of 4 features"):
        spatial(real[:4], fake)
    assert spatial(real, real + 3) == pytest.approx(4 * 9, rel=1e-6)


@pytest.mark.parametrize("layer", [2048, "logits"])
def test_spatial_features_are_channels_of_a_branch_pixel_by_pixel(layer: int | str, inception_weights: Path) -> None:
    """Against torch-fidelity's network: 7 channels of the first branch of Mixed_6d, by height, width and channel."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("inception", ["2048"], str(inception_weights))
    seen: list[Tensor] = []
    network.Mixed_6d.branch1x1.register_forward_hook(lambda _, __, output: seen.append(output))
    network(IMAGES)
    expected = seen[0][:, :7].permute(0, 2, 3, 1).reshape(len(IMAGES), -1)
    features = InceptionV3(inception_weights, layer)(IMAGES)
    assert expected.shape == features.spatial.shape == (3, 17 * 17 * 7)
    assert float((features.spatial - expected).norm() / expected.norm()) < 1e-4


def test_images_in_parts_keep_their_rows(inception_weights: Path) -> None:
    """A CPU takes images through the last stage in parts."""
    extractor, images = InceptionV3(inception_weights), draw_images(40, 16, 16, seed=2)
    whole = extractor(images).spatial
    torch.testing.assert_close(whole[35:], extractor(images[35:]).spatial, rtol=1e-4, atol=1e-4)


def test_a_network_that_stops_early_has_none(inception_weights: Path) -> None:
    extractor = InceptionV3(inception_weights, 64)
    assert extractor(IMAGES).column("spatial") is None
    with pytest.raises(ValueError, match="SFID needs spatial, and this extractor yields none"):
        GenerativeMetrics([SFID()], extractor=extractor)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
def test_one_forward_pass_gives_both_distances(inception_weights: Path) -> None:
    metric = GenerativeMetrics([FID(), SFID()], extractor=InceptionV3(inception_weights))
    metric.update(draw_images(4, 16, 16), real=True)
    metric.update(draw_images(4, 16, 16, seed=5), real=False)
    assert [*metric.compute()] == ["fd_inception_v3", "sfid_inception_v3"]


@pytest.mark.parametrize("measure", [RFID(), FDDINOv2()])
def test_other_names_of_the_formula_give_its_value(measure: FID | RFID) -> None:
    sides = Features(normal(0, 60, 4)), Features(normal(1, 50, 4))
    values = []
    for one in (FID(), measure):
        metric = GenerativeMetrics([one], extractor=None, num_features=4)
        metric.update(sides[0], real=True)
        metric.update(sides[1], real=False)
        values += metric.compute().values()
    assert values[0] == values[1]


def test_reconstructions_are_never_called_fid() -> None:
    (scalar,) = RFID().scalars
    assert (scalar.reported(None), scalar.reported("vgg16")) == ("rfid", "rfd_vgg16")
    assert FDDINOv2().network == "dinov2-vitl14"
    assert {scalar.reported("dinov2_vitl14") for scalar in FDDINOv2().scalars} == {"fd_dinov2_vitl14"}


@pytest.mark.parametrize("measure", [SFID(), RFID()])
def test_one_sample_is_not_enough(measure: SFID | RFID) -> None:
    metric = GenerativeMetrics([measure], extractor=None, num_features=2, widths={"spatial": 2})
    rows = Features(torch.zeros(1, 2), spatial=torch.zeros(1, 2))
    metric.update(rows, real=True)
    metric.update(rows, real=False)
    with pytest.raises(NotEnoughSamples, match="needs at least 2 real samples, got 1"):
        metric.compute()


@pytest.mark.slow
def test_vgg16_equals_torch_fidelity(tmp_path: Path) -> None:
    from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
    from torchvision import models

    from streaming_metrics.extractors import resolve

    file = tmp_path / "vgg16.pth"
    torch.save(models.vgg16(init_weights=False).state_dict(), file)
    network = FeatureExtractorVGG16("vgg16", ["fc2_relu"], str(file))
    extractor = resolve("vgg16", weights=file)
    (theirs,) = network(IMAGES)
    ours = extractor(IMAGES).pool
    assert isinstance(ours, Tensor)
    assert ours.shape == (3, 4096)
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4
    assert isinstance(extractor, nn.Module)
