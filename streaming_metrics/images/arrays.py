"""Images in memory: an ``.npz`` of one array, as guided-diffusion writes samples, and datasets of one's own."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.lib import format as npy
from PIL import Image
from torch import Tensor

from streaming_metrics.images.base import Images
from streaming_metrics.images.batches import describe
from streaming_metrics.images.decode import Unreadable, orientation_of, to_tensor, turned

if TYPE_CHECKING:
    from collections.abc import Sequence

ARRAY = "arr_0"


class Npz(Images):
    """The images in ``arr_0`` of an ``.npz``, uint8 ``(N, H, W, 3)``; read where they lie, unless compressed.

    Raises:
        ValueError: where the file does not read, or holds no such array.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.mapped = _mapped(self.path)
            self.array = None if self.mapped else np.load(self.path, allow_pickle=False)[ARRAY]
            images = self._images()
        except Exception as error:  # zipfile, zlib and numpy each have their own for what does not read
            raise ValueError(
                f"{path}: expected an .npz with {ARRAY}, got one that does not read: {type(error).__name__}: {error}."
            ) from error
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
            raise ValueError(
                f"{path}: expected {ARRAY} of uint8 (N, H, W, 3), got {images.dtype} {images.shape}. "
                "Remedy: numpy.savez(path, images) with images of that shape."
            )
        self.size = len(images)

    def __len__(self) -> int:
        return self.size

    def name(self, i: int) -> str:
        return f"{self.path}:{ARRAY}[{i}]"

    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def __getitem__(self, i: int) -> Tensor:
        return torch.from_numpy(self._images()[i].transpose(2, 0, 1).copy())

    def _images(self) -> np.ndarray:
        if self.mapped is None:
            assert self.array is not None
            return self.array
        return np.memmap(self.path, mode="r", **self.mapped)


class OwnDataset(Images):
    """A dataset by its import path.

    Args:
        dataset: map-style; its items are images, or tuples or dicts with one: uint8 tensors ``(3 or 1, H, W)``, uint8
            arrays ``(H, W, 3)`` or PIL images, which have 8 bits a channel of colour whatever their file has.
        source: names it in errors.
    """

    def __init__(self, dataset: Sequence[Any], source: str) -> None:
        self.dataset, self.source = dataset, source

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, i: int) -> str:
        return f"{self.source}[{i}]"

    def __getitem__(self, i: int) -> Tensor:
        try:
            item = self.dataset[i]
        except Exception as error:  # whatever a user's own data set raises
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        image = _image_in(item)
        if isinstance(image, Image.Image):
            try:
                return turned(to_tensor(image), orientation_of(image)) if self.upright else to_tensor(image)
            except ValueError as error:
                raise Unreadable(str(error)) from error
        if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3:
            image = torch.from_numpy(image.transpose(2, 0, 1).copy())
        if not (isinstance(image, Tensor) and image.dtype == torch.uint8 and image.shape[:-2] in ((1,), (3,))):
            raise Unreadable(
                f"expected a uint8 tensor (3, H, W), a uint8 array (H, W, 3) or a PIL image, got {describe(item)}"
            )
        return image.expand(3, -1, -1)


def _image_in(item: Any) -> Any:
    """Return the first image of a tuple or dict; anything else as it is."""
    inside = list(item.values()) if isinstance(item, dict) else item if isinstance(item, (tuple, list)) else [item]
    return next((value for value in inside if isinstance(value, (Tensor, np.ndarray, Image.Image))), item)


def _mapped(path: Path) -> dict[str, Any] | None:
    """Return where the array lies in the file, once its checksum holds; None where it is compressed."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{ARRAY}.npy") as member:
        info = archive.getinfo(f"{ARRAY}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            return None
        version = npy.read_magic(member)
        header = npy.read_array_header_1_0(member) if version == (1, 0) else npy.read_array_header_2_0(member)
        shape, fortran, dtype = header
        start = member.tell()
        while member.read(1 << 24):  # to the end: zipfile then compares the checksum
            pass
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    offset = info.header_offset + 30 + name + extra + start
    return {"dtype": dtype, "shape": shape, "order": "F" if fortran else "C", "offset": offset}
