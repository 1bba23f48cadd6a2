"""Images in an array of a file: an ``.npy``, or an ``.npz`` as guided-diffusion writes samples; read where they lie."""

from __future__ import annotations

import zipfile
from functools import partial
from math import prod
from os import SEEK_END
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from streaming_metrics.images.base import Images, PerProcess
from streaming_metrics.images.decode import Unreadable
from streaming_metrics.images.layouts import as_pixels, check_kind, image_of, layout_of
from streaming_metrics.images.options import Options
from streaming_metrics.images.remote import local_files, place_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from streaming_metrics.images.options import Layout
    from streaming_metrics.images.remote import Place, Remote

ARRAY, CLASSES = "arr_0", "arr_1"
"""What ``numpy.savez`` calls its first and second array: guided-diffusion's samples, and the classes of these."""


class ArrayImages(Images):
    """The images of one array, uint8 or floats whose range is told, of a shape whose layout is known.

    Args:
        path: of the file.
        where: names the array in errors, listings and recipes.
        array: opens it, an array or a tensor; must pickle.
        options: what is told of its range and its layout.

    Raises:
        ValueError: where it holds no images, or these may be read in several ways.
    """

    classes: Sequence[int] | None = None

    def __init__(self, path: Place, where: str, array: Callable[[], Any], options: Options) -> None:
        self.path, self.where, self.array, self.options = path, where, PerProcess(array), options
        self.value_range, images = options.value_range, self.array()
        self.layout: Layout = layout_of(images.shape, options.layout, where)
        self.size = len(images)
        try:
            first = as_pixels(images[0])
        except TypeError as error:
            raise ValueError(f"{where}: expected uint8 or floats, got {images.dtype}.") from error
        check_kind(first, options.value_range, where)

    def __len__(self) -> int:
        return self.size

    def name(self, i: int) -> str:
        return f"{self.where}[{i}]"

    def label(self, i: int) -> str | None:
        return None if self.classes is None else str(self.classes[i])

    def files(self) -> tuple[Path, ...] | None:
        return local_files(self.path)

    def recipe(self) -> str:
        return f"{type(self).__name__} {self.where[len(str(self.path)) :]} {self.options}".rstrip()

    def __getitem__(self, i: int) -> Tensor:
        try:
            pixels = as_pixels(self.array()[i])
        except Exception as error:  # the file has gone, say, or an address is not reached
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        return image_of(pixels, self.layout, self.options.value_range)


class Npy(ArrayImages):
    """The images in an ``.npy``, mapped into memory.

    Args:
        path: of the file.
        options: its ``range=`` where it holds floats, its ``layout=`` where its shape has several.

    Raises:
        ValueError: where the file does not read, is truncated, or holds no such array.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "x.npy")
        >>> np.save(path, np.zeros((5, 8, 9, 3), np.uint8))
        >>> len(Npy(path)), Npy(path)[4].shape
        (5, torch.Size([3, 8, 9]))
    """

    def __init__(self, path: str | Place, options: Options = Options()) -> None:  # noqa: B008
        place = place_at(path)
        opener = _try(lambda: _opener(place), path, "an .npy")
        super().__init__(place, str(path), opener, options)


class Npz(ArrayImages):
    """The images in one array of an ``.npz``; read where they lie, unless compressed.

    Where ``arr_1`` holds an integer for each image of ``arr_0``, these are their classes, as guided-diffusion writes
    them.

    Args:
        path: of the file.
        key: of the array in it.
        options: its ``range=`` where it holds floats, its ``layout=`` where its shape has several.

    Raises:
        ValueError: where the file does not read, or holds no such array.
    """

    def __init__(self, path: str | Place, key: str = ARRAY, options: Options = Options()) -> None:  # noqa: B008
        place = place_at(path)
        opener = _try(lambda: _opener_in(place, key), path, f"an .npz with {key}")
        super().__init__(place, f"{path}:{key}", opener, options)
        self.classes = _classes(place, self.size) if key == ARRAY else None


def _try(act: Callable[[], Any], path: str | Place, kind: str) -> Any:
    try:
        return act()
    except Exception as error:  # zipfile, zlib and numpy each have their own for what does not read
        raise ValueError(
            f"{path}: expected {kind}, got one that does not read: {type(error).__name__}: {error}."
        ) from error


class RemoteArray:
    """An array at an address, of which one image at a time is read.

    Args:
        path: of the file.
        shape, dtype: of the array, in the order of C.
        offset: of its first byte in the file.
    """

    def __init__(self, path: Remote, shape: tuple[int, ...], dtype: np.dtype, offset: int) -> None:
        self.file, self.shape, self.dtype, self.offset = path.open(), shape, dtype, offset

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, i: int) -> np.ndarray:
        size = prod(self.shape[1:]) * self.dtype.itemsize
        self.file.seek(self.offset + i * size)
        return np.frombuffer(self.file.read(size), self.dtype).reshape(self.shape[1:])

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _opener(path: Place) -> Callable[[], Any]:
    """Return what opens an ``.npy``."""
    if isinstance(path, Path):
        opener = partial(np.load, path, mmap_mode="r", allow_pickle=False)
        opener()
        return opener
    with path.open() as file:
        return _at(path, *_header(file), file.tell())


def _opener_in(path: Place, key: str) -> Callable[[], Any]:
    """Return what opens an array of an ``.npz``: where it lies, once its checksum holds; or itself, if compressed."""
    with _stream(path) as file, zipfile.ZipFile(file) as archive:
        info = archive.getinfo(f"{key}.npy")
        if info.compress_type != zipfile.ZIP_STORED:
            with np.load(file, allow_pickle=False) as arrays:
                return partial(_itself, arrays[key])
        with archive.open(info) as member:
            header = _header(member)
            start = member.tell()
            while isinstance(path, Path) and member.read(1 << 24):  # to the end: zipfile then compares the checksum
                pass
        file.seek(info.header_offset + 26)
        name, extra = np.frombuffer(file.read(4), "<u2").tolist()
    return _at(path, *header, info.header_offset + 30 + name + extra + start)


def _stream(path: Place) -> IO[bytes]:
    return path.open("rb")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    return npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)


def _at(path: Place, shape: tuple[int, ...], fortran: bool, dtype: np.dtype, offset: int) -> Callable[[], Any]:
    """Return what opens an array that lies in a file uncompressed."""
    if isinstance(path, Path):
        return partial(np.memmap, path, dtype, "r", offset, shape, "F" if fortran else "C")
    if fortran or dtype.hasobject:
        raise ValueError(
            f"expected an array of numbers in the order of C, got {dtype}{' in that of Fortran' * fortran}"
        )
    with path.open() as file:
        if file.seek(0, SEEK_END) < offset + prod(shape) * dtype.itemsize:
            raise ValueError("it is shorter than its header says: truncated?")
    return partial(RemoteArray, path, shape, dtype, offset)


def _itself(array: np.ndarray) -> np.ndarray:
    return array


def _classes(path: Place, count: int) -> list[int] | None:
    with _stream(path) as file, np.load(file, allow_pickle=False) as archive:
        found = archive[CLASSES] if CLASSES in archive else np.empty(0)
    return found.tolist() if found.shape == (count,) and found.dtype.kind in "iu" else None
