"""Finding of sources: the images, or the saved reference, that a text on the command line names."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from streaming_metrics.files.reference import Reference
from streaming_metrics.files.tensors import about_of
from streaming_metrics.images.archives import Folder, Zip, files_below
from streaming_metrics.images.arrays import ARRAY, Npz
from streaming_metrics.images.base import Images, Joined
from streaming_metrics.images.clips import OwnClips
from streaming_metrics.images.find_clips import clips_at
from streaming_metrics.images.find_lists import many_at
from streaming_metrics.images.find_tables import table_at
from streaming_metrics.images.names import ARCHIVES, EXTENSIONS, TARS, is_archive, is_choice, sample_of, sift
from streaming_metrics.images.own import OwnDataset, dataset_at
from streaming_metrics.images.remote import place_at, shown
from streaming_metrics.images.tars import Tar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.images.remote import Place
    from streaming_metrics.images.window import Window

MOMENTS = "mu"
KNOWN = (
    "a folder, an image, a zip or tar archive, an .npy, .npz or .pt, a parquet or arrow table, a saved reference, a "
    "pattern like 'a/*.png', a list of paths (x.txt), torchvision:CIFAR10?train=true&root=data, an address of one, or "
    "package.module:dataset"
)
ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://|(www\.)?[a-z0-9-]+(\.[a-z0-9-]+)*\.(com|org|net|io|co|edu|gov|ai|dev)/", re.I
)


def find_source(text: str, window: Window | None = None) -> Images | Reference:
    """Return the images, the clips or the reference that ``text`` names.

    Args:
        window: where clips are meant, which frames of each are looked at; their sources are then a folder of video
            files or of folders of frames, a video file, an ``.npy`` or ``.npz`` of clips, or a dataset of them.
        text: a folder (images below it, or else archives in it), ``.zip``, ``.tar`` (also compressed),
            an ``.npz`` with ``arr_0`` or with ``mu`` and ``sigma`` (with both,
            ``x.npz:arr_0`` or ``x.npz:mu``), a file of ``save_reference``, or ``package.module:dataset``.
            Behind a colon stands which files of a folder or an archive to take: ``shards:tar`` its archives,
            ``x.tar:png`` and ``shards:tar:png`` the images of that ending, ``…:all`` all images. Or what a pattern
            matches (``runs/{a,b}/*.png``, ``shards-{000..012}.tar``, ``**``), or what a file lists, one path a line:
            ``list.txt``, ``@list``. Or an array, a table or a dataset of torchvision, see
            :func:`~streaming_metrics.images.find_tables.table_at`; or any of these at an address that fsspec knows
            (``s3://…``), see :class:`~streaming_metrics.images.remote.Remote`.

    Raises:
        FileNotFoundError: where there is no such file or module.
        ValueError: where it does not read, holds no images, or does not say which of its images are meant.
    """
    if not text.strip():
        raise ValueError(f"Expected {KNOWN}, got an empty path (an unset variable?). Remedy: '.' is this folder.")
    if window is not None:
        return find_reference(text) or _clips(text, window)
    if saved := find_reference(text):  # whatever its name ends in, real.pt too
        return saved
    if found := table_at(text):
        return found
    path, _, inner = text.rpartition(":")
    if path.endswith(".npz") and inner == ARRAY:
        return Npz(path)
    where, choices = _choices(text)
    if isinstance(where, Path) and where.suffix == ".npz" and where.exists() and not choices:
        return _npz(where)
    if (many := many_at(text, find_source)) is not None:
        return many
    if not where.exists():
        return OwnDataset(dataset_at(text), text) if path and not ADDRESS.match(text) else _missing(text)
    return _folder(where, choices) if where.is_dir() else _archive(where, choices)


def find_reference(text: str) -> Reference | None:
    """Return the saved reference that ``text`` names; None where it names anything else."""
    path, _, inner = text.rpartition(":")
    if path.endswith(".npz") and inner == MOMENTS:
        return Reference.load(path)
    where = Path(text)
    if where.suffix == ".npz" and where.exists():
        held = _held(where) or set()
        return Reference.load(where) if MOMENTS in held and ARRAY not in held else None
    return Reference.load(where) if where.is_file() and (where.suffix == ".safetensors" or about_of(where)) else None


def _clips(text: str, window: Window) -> Images:
    path, _, inner = text.rpartition(":")
    if path.endswith(".npz") and inner == ARRAY:
        return clips_at(Path(path), window)
    where = Path(text)
    if not where.exists():
        return OwnClips(dataset_at(text), text, window) if path and not ADDRESS.match(text) else _missing(text)
    if where.suffix == ".npz":
        _refuse_both(where, _held(where) or set())
    return clips_at(where, window)


def _choices(text: str) -> tuple[Place, tuple[str, ...]]:
    """Return the path that a text begins with, and what stands behind its colons where that chooses among files."""
    path, choices = text, ()
    while not place_at(path).exists():
        path, _, last = path.rpartition(":")
        if not path or not is_choice(last):
            return place_at(text), ()
        choices = (last.lower(), *choices)
    return place_at(path), choices


def _missing(text: str) -> NoReturn:
    if ADDRESS.match(text):
        remedy = "see that it is right, or download it" if "://" in text else f"https://{text}, say, or download it"
        raise FileNotFoundError(f"Expected {KNOWN}, found nothing at the address {shown(text)}. Remedy: {remedy}.")
    path = Path(text)
    beside = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
    if not path.parent.is_dir():
        hint = f"; there is no folder {path.parent} either"
    elif near := get_close_matches(path.name, beside):
        hint = f". Did you mean {' or '.join(repr(str(path.parent / name)) for name in near)}?"
    else:
        hint = f"; {path.parent.absolute()} holds {_listed(beside)}"
    if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", text) and path.suffix not in ARCHIVES:
        hint += f". Remedy for a dataset: {text}:its_name"
    raise FileNotFoundError(f"Expected {KNOWN}, found nothing at {text}{hint}.".replace("?.", "?"))


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more


def _folder(path: Place, choices: tuple[str, ...]) -> Images:
    """Return the images below a folder; where it holds archives in their place (webdataset's shards), theirs."""
    below = files_below(path)
    found = sorted(name for name in below if is_archive(name))
    archives = [name for name in found if "/" not in name] or found
    kind = choices[0] if choices and f".{choices[0]}".endswith(ARCHIVES) else None
    if kind:
        archives, choices = [name for name in archives if name.lower().endswith(f".{kind}")], choices[1:]
        if not archives:
            raise ValueError(f"{path}: expected .{kind} archives, found none.")
    only = _one(choices, path)
    images, left_out = sift([name for name in below if not is_archive(name)], None if kind else only)
    if archives and (kind or not images):
        joined = Joined([_archive(path / name, choices) for name in archives])
        others = {"images beside the archives": len(images), "other archives": len(found) - len(archives)}
        joined.left_out = dict(Counter(joined.left_out) + Counter(left_out) + Counter(others))
        return joined
    shards = [name for name in found if name.lower().endswith(TARS)]
    if shards and only is None:
        raise ValueError(
            f"{path}: expected images or archives of them, got both: {len(images)} images ({_listed(images, 1)}) and "
            f"{len(shards)} archives ({_listed(shards, 1)}). Remedy: {path}:tar for the archives, "
            f"{path}:{sample_of(images[0])[1]} or {path}:all for the images."
        )
    beside = Counter(Path(name).suffix for name in found)
    told = {f"{suffix} beside images": count for suffix, count in beside.items()}
    return Folder(path, images, {**left_out, **told})


def _archive(path: Place, choices: tuple[str, ...]) -> Images:
    name = path.name.lower()
    if name.endswith(".zip"):
        return Zip(path, _one(choices, path))
    if name.endswith(TARS):
        return Tar(path, _one(choices, path))
    if path.suffix.lower() in EXTENSIONS:
        return Folder(*_parts(path), {})
    raise ValueError(f"{path}: expected {KNOWN}, got a file {path.name!r} of none of these kinds.")


def _parts(file: Place) -> tuple[str | Path, list[str]]:
    """Return the folder that a file is in, and its name in it."""
    folder = file.parent if isinstance(file, Path) else file.address.rpartition("/")[0]
    return folder, [file.name]


def _one(choices: tuple[str, ...], path: Place) -> str | None:
    """Return the ending that is chosen, None for none."""
    if len(choices) > 1:
        raise ValueError(f"{path}: expected one ending of images behind the colon, got {', '.join(choices)}.")
    return choices[0] if choices else None


def _held(path: Path) -> set[str] | None:
    """Return the names in an .npz; None where it does not read, which a reader will say."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception:  # whatever is wrong
        return None


def _refuse_both(path: Path, held: set[str]) -> None:
    if {ARRAY, MOMENTS} <= held:
        raise ValueError(
            f"{path}: holds images ({ARRAY}) and moments ({MOMENTS}, sigma), perhaps of more images. "
            f"Remedy: say which, {path}:{ARRAY} or {path}:{MOMENTS}."
        )


def _npz(path: Path) -> Images | Reference:
    held = _held(path)
    if held is None:
        return Reference.load(path)
    _refuse_both(path, held)
    if not {ARRAY, MOMENTS} & held:
        raise ValueError(
            f"{path}: expected an .npz of images ({ARRAY}) or of moments ({MOMENTS} and sigma), "
            f"found {_listed(sorted(held))}. Remedy: numpy.savez(path, images), images uint8 (N, H, W, 3)."
        )
    return Npz(path) if ARRAY in held else Reference.load(path)
