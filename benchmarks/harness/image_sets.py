"""Image sets for benchmarks: real images with labels that need no download, as uint8 RGB."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

PLACES = (Path("/usr/share/datasets/fashion-mnist"), Path("data/FashionMNIST/raw"))
"""Where Fashion-MNIST may lie: as Debian's dataset-fashion-mnist installs it, as torchvision downloads it."""
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")
CROP = 64


@dataclass(frozen=True)
class ImageSet:
    """Images with labels.

    Args:
        name: what it is called.
        images: ``(N, 3, H, W)`` uint8.
        labels: ``(N,)`` int64.
        classes: their number.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: int

    def __len__(self) -> int:
        return len(self.images)


def fashion(folder: Path | None = None) -> ImageSet:
    """Return Fashion-MNIST, 70,000 images of 28 pixels in 10 classes of clothing; raise FileNotFoundError without."""
    places = [folder] if folder else PLACES
    found = next((place for place in places if list(place.glob("train-images-idx3-ubyte*"))), None)
    if found is None:
        raise FileNotFoundError(
            f"Expected Fashion-MNIST in {' or '.join(map(str, places))}, got no such files. Remedy: Debian's package "
            "dataset-fashion-mnist, or --folder with the four files of the data set."
        )
    images = torch.cat([_idx(found, f"{part}-images-idx3-ubyte") for part in ("train", "t10k")])
    labels = torch.cat([_idx(found, f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")])
    return ImageSet("fashion", _rgb(images), labels.long(), 10)


def digits(folder: Path | None = None) -> ImageSet:  # noqa: ARG001
    """Return scikit-learn's 1,797 digits of 8 pixels, enlarged to 32."""
    from sklearn.datasets import load_digits

    sixteenths, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(sixteenths * (255 / 16)).round().to(torch.uint8).view(-1, 8, 8)
    return ImageSet("digits", resized(_rgb(images), 32), torch.from_numpy(labels).long(), 10)


def photographs(folder: Path | None = None, *, each: int = 1700, seed: int = 0) -> ImageSet:  # noqa: ARG001
    """Return crops of 64 pixels of the photographs in scikit-image, labelled by photograph; crops may overlap."""
    from skimage import data

    generator = torch.Generator().manual_seed(seed)
    photos = [torch.from_numpy(getattr(data, name)()[..., :3]).permute(2, 0, 1) for name in PHOTOGRAPHS]
    images = torch.cat([_crops(_shrunk(photo), each, generator) for photo in photos])
    return ImageSet("photographs", images, torch.arange(len(photos)).repeat_interleave(each), len(photos))


SETS = {"fashion": fashion, "digits": digits, "photographs": photographs}


def resized(images: Tensor, side: int) -> Tensor:
    """Return images of ``side`` pixels, uint8."""
    if images.shape[-1] == side:
        return images
    return interpolate(images.float(), (side, side), mode="bilinear", antialias=True).round().to(torch.uint8)


def _idx(folder: Path, name: str) -> Tensor:
    """Return the array in a file of Yann LeCun's IDX format, perhaps compressed."""
    path = next(folder.glob(f"{name}*"))
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, 4)
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape).copy())


def _rgb(grey: Tensor) -> Tensor:
    return grey[:, None].expand(-1, 3, -1, -1)


def _shrunk(photo: Tensor, side: int = 512) -> Tensor:
    scale = side / max(photo.shape[-2:])
    size = [round(scale * length) for length in photo.shape[-2:]]
    return interpolate(photo[None].float(), size, mode="bilinear", antialias=True)[0].round().to(torch.uint8)


def _crops(photo: Tensor, n: int, generator: torch.Generator) -> Tensor:
    tops, lefts = (torch.randint(length - CROP + 1, (n,), generator=generator) for length in photo.shape[-2:])
    return torch.stack([photo[:, t : t + CROP, x : x + CROP] for t, x in zip(tops.tolist(), lefts.tolist())])
