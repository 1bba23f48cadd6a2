"""Sets of real images that need no download: digits of scikit-learn, clothes of a Debian package, photographs."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn.functional import interpolate, pad

if TYPE_CHECKING:
    from torch import Tensor

PLACES = (Path("/usr/share/datasets/fashion-mnist"), Path("data/FashionMNIST/raw"))
"""Where Fashion-MNIST may lie: as Debian's dataset-fashion-mnist installs it, as torchvision downloads it."""
CLOTHES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")
SIDE = 32
"""Pixels of the images that are drawn by class: wavelet packets want a multiple of 16."""


class Damaged(ValueError):
    """Error of a file of a data set that is not whole."""


class ImageSet(NamedTuple):
    """Set of real images.

    Args:
        train: images to learn, ``(N, C, H, W)`` uint8, and their classes, int64 ``(N,)``, if they are told apart.
        real: the same of those to measure against.
        classes: names of the classes; none where images are of no particular kind.
    """

    train: tuple[Tensor, ...]
    real: tuple[Tensor, ...]
    classes: tuple[str, ...] = ()


def digits() -> ImageSet:
    """Return scikit-learn's 1,797 digits of 8 pixels, of no particular kind: learnt, and measured against."""
    images, _ = digit_images()
    return ImageSet((images,), (images,))


def fashion(num_real: int = 2000) -> ImageSet:
    """Return Fashion-MNIST in a frame of 32 pixels: 60,000 images to learn, the first of the test images as real.

    Raises:
        FileNotFoundError: where it is not installed.
    """
    (learnt, labels), (tested, tested_labels) = fashion_mnist()
    real = _framed(tested[:num_real]), tested_labels[:num_real]
    return ImageSet((_framed(learnt), labels), real, CLOTHES)


def photographs(num_train: int = 2000, num_real: int = 286) -> ImageSet:
    """Return crops of 32 pixels of seven photographs, by photograph: so many of each to learn, and others as real.

    Each is of another place; they overlap, so that real ones hold little that is not learnt.

    Raises:
        ModuleNotFoundError: without scikit-image.
    """
    generator, sizes = torch.Generator().manual_seed(0), [num_train, num_real]
    found = [_distinct_crops(shrunk(photo, 4 * SIDE), sum(sizes), generator).split(sizes) for photo in photos()]
    labels = [torch.arange(len(found)).repeat_interleave(size) for size in sizes]
    train, real = ((torch.cat(crops), of) for crops, of in zip(zip(*found), labels))
    return ImageSet(train, real, PHOTOGRAPHS)


SETS = {"digits": digits, "fashion": fashion, "photographs": photographs}


def digit_images() -> tuple[Tensor, Tensor]:
    """Return scikit-learn's digits, ``(1797, 1, 8, 8)`` uint8, and which digits they are, int64."""
    from sklearn.datasets import load_digits

    sixteenths, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(sixteenths * (255 / 16)).round().to(torch.uint8).view(-1, 1, 8, 8)
    return images, torch.from_numpy(labels).long()


def fashion_mnist(folder: Path | None = None) -> list[tuple[Tensor, Tensor]]:
    """Return images ``(N, 1, 28, 28)`` uint8 and labels int64 of Fashion-MNIST: 60,000 to learn, 10,000 to test with.

    Args:
        folder: of its four files; None looks where they are installed.

    Raises:
        FileNotFoundError: where they are not.
    """
    places = [folder] if folder else PLACES
    found = next((place for place in places if list(place.glob("train-images-idx3-ubyte*"))), None)
    if found is None:
        raise FileNotFoundError(
            f"Expected Fashion-MNIST in {' or '.join(map(str, places))}, got no such files. Remedy: Debian's package "
            "dataset-fashion-mnist (apt-get install dataset-fashion-mnist), or the four files of the data set there."
        )
    return [
        (_idx(found, f"{part}-images-idx3-ubyte")[:, None], _idx(found, f"{part}-labels-idx1-ubyte").long())
        for part in ("train", "t10k")
    ]


def photos() -> list[Tensor]:
    """Return the photographs that come with scikit-image, ``(3, H, W)`` uint8 each.

    Raises:
        ModuleNotFoundError: without scikit-image.
    """
    try:
        from skimage import data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Expected scikit-image, whose photographs these are, got {error}. Remedy: pip install "
            '"streaming-metrics[demo]".'
        ) from error
    return [torch.from_numpy(getattr(data, name)()[..., :3]).permute(2, 0, 1) for name in PHOTOGRAPHS]


def shrunk(photo: Tensor, side: int) -> Tensor:
    """Return a photograph whose longer side has so many pixels."""
    scale = side / max(photo.shape[-2:])
    size = [round(scale * length) for length in photo.shape[-2:]]
    return interpolate(photo[None].float(), size, mode="bilinear", antialias=True)[0].round().to(torch.uint8)


def crops_at(image: Tensor, tops: Tensor, lefts: Tensor, side: int) -> Tensor:
    """Return the square crops of an image that begin at so many rows and columns."""
    return torch.stack([image[:, t : t + side, x : x + side] for t, x in zip(tops.tolist(), lefts.tolist())])


def _distinct_crops(image: Tensor, n: int, generator: torch.Generator) -> Tensor:
    rows, columns = (length - SIDE + 1 for length in image.shape[-2:])
    places = torch.randperm(rows * columns, generator=generator)[:n]
    return crops_at(image, places // columns, places % columns, SIDE)


def _framed(images: Tensor) -> Tensor:
    return pad(images, [(SIDE - images.shape[-1]) // 2] * 4)


def _idx(folder: Path, name: str) -> Tensor:
    """Return the array in a file of Yann LeCun's IDX format, perhaps compressed.

    Raises:
        FileNotFoundError: where there is no such file.
        Damaged: where it is cut off, or no such array.
    """
    path = next(folder.glob(f"{name}*"), None)
    if path is None:
        raise FileNotFoundError(f"Expected {folder / name}, perhaps with .gz, got no such file. Remedy: add it.")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        dimensions = content[3]
        shape = np.frombuffer(content, ">i4", dimensions, 4)
        return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy())
    except (gzip.BadGzipFile, zlib.error, EOFError, IndexError, ValueError) as error:
        raise Damaged(f"{path}: expected an array in IDX format, got: {error}. Remedy: fetch it again.") from error
