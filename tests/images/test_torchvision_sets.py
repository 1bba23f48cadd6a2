"""Datasets of torchvision by name: nothing is downloaded, and which part is meant is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_cli import TINY, done
from test_sources import PIXELS, encoded, images_in

from streaming_metrics.images import Unreadable, find_source
from streaming_metrics.images.options import split_options, typed


def mnist(root: Path) -> str:
    """Return MNIST's files of 6 images, each with its number as class, and what they are called."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        images, classes = PIXELS[..., 0], np.arange(6, dtype=np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", classes)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (raw / name).write_bytes(header + array.tobytes())
    return f"torchvision:MNIST?root={root}"


def test_a_set_gives_its_images_and_classes(tmp_path: Path) -> None:
    source = images_in(f"{mnist(tmp_path)}&train=true")
    assert torch.equal(source[4], torch.from_numpy(PIXELS[4, ..., 0]).expand(3, -1, -1))
    assert [source.label(i) for i in (0, 4)] == ["0 - zero", "4 - four"]
    assert source.name(4) == f"torchvision:MNIST?root={tmp_path}&train=true[4]"
    assert source.recipe() != images_in(f"torchvision:MNIST?root={tmp_path}&train=false").recipe()


def test_a_damaged_image_of_a_set_does_not_read(tmp_path: Path) -> None:
    for i, image in enumerate(PIXELS[:3]):
        (tmp_path / "cat").mkdir(exist_ok=True)
        (tmp_path / "cat" / f"{i}.png").write_bytes(encoded(image)[: 60 if i == 1 else None])
    source = images_in(f"torchvision:ImageFolder?root={tmp_path}")
    assert [source.label(i) for i in range(3)] == ["cat"] * 3
    with pytest.raises(Unreadable):
        source[1]
    assert torch.equal(source[2], torch.from_numpy(PIXELS[2]).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("CIFAR10?root=none&train=true", FileNotFoundError, r"CIFAR10\(root='none', train=True, download=True\)"),
        ("CIFAR10?root=none", ValueError, r"expected to know train\. Remedy: .*train=true or train=false"),
        ("SVHN?root=none", ValueError, r"expected to know split\. Remedy: .*split=train, say"),
        ("SVHN?root=none&split=x", ValueError, "Unknown value 'x' for argument split"),
        ("CIFAR10?root=none&train=true&download=true", ValueError, "expected of root, train, got download"),
        ("cifar10", ValueError, r"got 'cifar10'\. Remedy: torchvision:CIFAR10\."),
        ("__all__", ValueError, "expected a dataset of torchvision.datasets"),
        ("ImageFolder?root=none", FileNotFoundError, "torchvision does not download ImageFolder"),
        ("FakeData?size=4&size=5", ValueError, "expected each option once"),
    ],
)
def test_what_is_not_there_or_not_told_is_refused(text: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        find_source(f"torchvision:{text}")


def test_sets_are_compared() -> None:
    sides = [f"torchvision:FakeData?size=4&image_size=(3,8,8)&random_offset={offset}" for offset in (0, 9)]
    done("compare", *sides, "--measures", "fid", *TINY)


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("none", None), ("True", True), ("a.b", "a.b"), ("", "")])
def test_options_are_literals_or_texts(text: str, value: Any) -> None:
    assert typed(text) == value


def test_a_query_of_the_web_is_no_option() -> None:
    signed = "https://example.org/x.zip?signature=1"
    assert split_options(signed) == (signed, {})
