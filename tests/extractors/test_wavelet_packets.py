"""Haar wavelet packets of images: PyWavelets' to the last bit of float32, of any size that has them."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from reference_weights import draw_images

from streaming_metrics.extractors import WaveletPackets, resolve, wavelet_packets

EXTRACTOR = WaveletPackets()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 32), (48, 96)])
def test_packets_are_those_of_pywavelets_in_natural_order(height: int, width: int) -> None:
    images = draw_images(3, height, width, seed=2)
    tree = pywt.WaveletPacket2D(images.double().numpy() / 255, "haar", maxlevel=4, axes=(-2, -1))
    theirs = np.stack([node.data.reshape(3, -1) for node in tree.get_level(4, "natural")], 1)
    ours = EXTRACTOR(images).packets.view(3, 256, -1).double().numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2.0**-24 * 16  # one rounding of the largest there may be


def test_no_number_is_lost() -> None:
    images = draw_images(2, 32, 48, seed=3)
    energy = EXTRACTOR(images).packets.double().square().sum(1)
    torch.testing.assert_close(energy, (images.double() / 255).square().flatten(1).sum(1), rtol=1e-6, atol=0)


def test_chunks_and_batches_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    images = draw_images(5, 32, 32, seed=4)
    whole = EXTRACTOR(images).packets
    assert torch.equal(whole, torch.cat([EXTRACTOR(one).packets for one in images.split(2)]))
    monkeypatch.setattr(wavelet_packets, "AT_ONCE", 2 * images[0].numel())
    assert torch.equal(whole, EXTRACTOR(images).packets)


def test_it_has_one_precision_and_says_its_protocol() -> None:
    assert resolve("wavelet-packets", precision="bf16").fingerprint == "wavelet-packets-1|pool|native|fp32"
    assert EXTRACTOR.tag == "haar4"
    with pytest.raises(TypeError, match="wavelet-packets takes no weights"):
        resolve("wavelet-packets", weights="some.pth")


@pytest.mark.parametrize(
    ("height", "width", "remedy"), [(28, 32, "32 by 32"), (32, 100, "32 by 96"), (3, 7, "16 by 16")]
)
def test_sides_without_whole_packets_are_refused(height: int, width: int, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"multiples of 16, got {height} by {width}; .* e.g. to {remedy}"):
        EXTRACTOR(draw_images(1, height, width))
