"""Images in a file of ``torch.save``, read with ``weights_only=True``: none of the code that pickles hold is run."""

from __future__ import annotations

import pickle
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streaming_metrics.images.arrays import ArrayImages
from streaming_metrics.images.forms import candidates, describe, is_images
from streaming_metrics.images.options import Options

ENDINGS = (".pt", ".pth")
CLASSES = ("labels", "label", "targets")
"""What a dict of ``torch.save`` may call the classes of its images."""


class TorchFile(ArrayImages):
    """The images in a tensor of a ``.pt``, mapped into memory: the tensor itself, or the one of a dict or a list.

    Integers ``(N,)`` in a dict under ``labels``, ``label`` or ``targets`` are the classes of its images.

    Args:
        path: of the file.
        key: of the tensor in its dict, or its position in its list; None where there is one alone.
        options: its ``range=`` where it holds floats, its ``layout=`` where its shape has several.

    Raises:
        ValueError: where the file does not read, holds code, or no such tensor, or several.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "x.pt")
        >>> torch.save({"images": torch.zeros(5, 3, 8, 9, dtype=torch.uint8), "labels": torch.arange(5)}, path)
        >>> images = TorchFile(path)
        >>> len(images), images[4].shape, images.label(4)
        (5, torch.Size([3, 8, 9]), '4')
    """

    def __init__(self, path: str | Path, key: str | None = None, options: Options = Options()) -> None:  # noqa: B008
        _check_whole(Path(path))
        held = _load(Path(path))
        key = _key_of(held, key, str(path))
        where = str(path) if key is None else f"{path}:{key}"
        super().__init__(Path(path), where, partial(_tensor, Path(path), key), options)
        self.classes = _classes(held, self.size)


def _check_whole(path: Path) -> None:
    """Raise ValueError where a file is damaged: mapped into memory, nobody compares its checksums."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile and zlib have their own
        raise _unread(path, error) from error
    if damaged:
        raise ValueError(f"{path}: the file is damaged, a checksum does not hold ({damaged}). Remedy: write it again.")


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: expected tensors, got what only running the file's own code could read, or no file of "
            f"torch.save. Remedy: torch.save(images, path), images a tensor. ({str(error).splitlines()[0][:200]})"
        ) from error
    except Exception as error:  # torch has several for what does not read
        raise _unread(path, error) from error


def _unread(path: Path, error: Exception) -> ValueError:
    line = (str(error).splitlines() or [""])[0]
    return ValueError(f"{path}: expected a file of torch.save, got one that does not read: {line}.")


def _parts(held: Any) -> dict[str, Any]:
    if isinstance(held, dict):
        return {str(key): value for key, value in held.items()}
    return {str(i): value for i, value in enumerate(held)} if isinstance(held, list | tuple) else {}


def _key_of(held: Any, key: str | None, where: str) -> str | None:
    """Return the key of the tensor of images; None where the file is one tensor."""
    if isinstance(held, Tensor):
        if key is not None:
            raise ValueError(f"{where}:{key}: expected a dict or list with {key!r}, got a tensor. Remedy: {where}.")
        return None
    parts = {name: part for name, part in _parts(held).items() if isinstance(part, Tensor)}
    if key is not None:
        if key not in parts:
            raise ValueError(f"{where}: expected a tensor {key!r}, found {', '.join(parts) or describe(held)}.")
        return key
    found = {name: part for name, part in parts.items() if is_images(part)}
    eight = {name: part for name, part in found.items() if part.dtype == torch.uint8}
    found = eight or found
    if len(found) != 1:
        what = f"several: {candidates(found)}" if found else f"none in {describe(held)}"
        remedy = f"say which, {where}:{next(iter(found), 'its_key')}"
        raise ValueError(f"{where}: expected one tensor of images, (N, 3, H, W), got {what}. Remedy: {remedy}.")
    return next(iter(found))


def _tensor(path: Path, key: str | None) -> Tensor:
    held = _load(path)
    return held if key is None else _parts(held)[key]


def _classes(held: Any, count: int) -> list[int] | None:
    for name in CLASSES if isinstance(held, dict) else ():
        labels = held.get(name)
        if isinstance(labels, Tensor) and labels.shape == (count,) and not labels.dtype.is_floating_point:
            return labels.tolist()
    return None
