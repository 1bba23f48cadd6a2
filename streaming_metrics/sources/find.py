"""From what a user names on the command line to a source of images, or to a saved reference."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path
from typing import Any

from streaming_metrics.reference import Reference
from streaming_metrics.sources.archives import TARS, Folder, Tar, Zip
from streaming_metrics.sources.arrays import ARRAY, Npz, OwnDataset
from streaming_metrics.sources.base import Images, Joined
from streaming_metrics.state_file import about_of

MOMENTS = "mu"
KNOWN = "a folder, a zip or tar archive, an .npz, a saved reference, or package.module:dataset"


def find_source(text: str) -> Images | Reference:
    """Return the images or the reference that ``text`` names.

    Args:
        text: a folder (images below it, or else archives in it), ``.zip``, ``.tar`` (also compressed),
            an ``.npz`` with ``arr_0`` or with ``mu`` and ``sigma`` (with both,
            ``x.npz:arr_0`` or ``x.npz:mu``), a file of ``save_reference``, or ``package.module:dataset``.

    Raises:
        FileNotFoundError: where there is no such file or module.
        ValueError: where it does not read, or holds no images.
    """
    path, _, inner = text.rpartition(":")
    if path.endswith(".npz") and inner in (ARRAY, MOMENTS):
        return Npz(path) if inner == ARRAY else Reference.load(path)
    if not Path(text).exists() and path:
        return OwnDataset(_dataset(text), text)
    if text.endswith(".npz"):
        return _npz(Path(text))
    if (Path(text).is_file() and about_of(text)) or text.endswith(".safetensors"):
        return Reference.load(text)
    return _folder(Path(text)) if Path(text).is_dir() else _archive(Path(text))


def imported(text: str) -> Any:
    """Return what ``package.module:name`` names, looked for in the working directory too.

    Raises:
        FileNotFoundError: where there is no such module or name.
    """
    module, _, name = text.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FileNotFoundError(f"Expected {KNOWN}, got {text!r}: {error}.") from error


def _dataset(text: str) -> Any:
    found = imported(text)
    dataset = found() if not hasattr(found, "__getitem__") and callable(found) else found
    if isinstance(dataset, type) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise ValueError(
            f"{text}: expected a map-style dataset (len() and []), or a function that returns one, got {dataset!r}."
        )
    return dataset


def _folder(path: Path) -> Images:
    """Return the images below a folder; where it holds archives in their place (webdataset's shards), theirs."""
    shards = sorted(inside for inside in path.iterdir() if inside.name.endswith((*TARS, ".zip")))
    try:
        return Folder(path)
    except ValueError:
        if not shards:
            raise
        return Joined([_archive(shard) for shard in shards])


def _archive(path: Path) -> Images:
    if not path.exists():
        raise FileNotFoundError(f"Expected {KNOWN}, found nothing at {path}.")
    if path.name.lower().endswith(".zip"):
        return Zip(path)
    if path.name.lower().endswith(TARS):
        return Tar(path)
    raise ValueError(f"{path}: expected {KNOWN}.")


def _npz(path: Path) -> Images | Reference:
    try:
        with zipfile.ZipFile(path) as archive:
            held = {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception:  # whatever is wrong, the reader says it
        return Reference.load(path)
    if {ARRAY, MOMENTS} <= held:
        raise ValueError(
            f"{path}: holds images ({ARRAY}) and moments ({MOMENTS}, sigma), perhaps of more images. "
            f"Remedy: say which, {path}:{ARRAY} or {path}:{MOMENTS}."
        )
    return Npz(path) if ARRAY in held else Reference.load(path)
