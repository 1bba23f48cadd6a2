"""Finding of tables, arrays and data sets: the source that a text names where it is no folder or archive of images."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streaming_metrics.images.archives import files_below
from streaming_metrics.images.arrays import ARRAY, Npy, Npz
from streaming_metrics.images.names import hidden_part, is_archive, is_choice, is_image
from streaming_metrics.images.options import Options, split_options
from streaming_metrics.images.own import OwnDataset, dataset_at
from streaming_metrics.images.remote import ADDRESS, Remote, place_at
from streaming_metrics.images.rows import ARROW, PARQUET, open_rows
from streaming_metrics.images.tables import Tables, column_of
from streaming_metrics.images.torch_files import ENDINGS, TorchFile
from streaming_metrics.images.torchvision_sets import SCHEME, TorchvisionSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming_metrics.images.base import Images
    from streaming_metrics.images.remote import Place

MOMENTS = "mu"
TABLES = (*PARQUET, *ARROW)
KINDS = {ending[1:] for ending in TABLES}
OF_ARRAYS = ("range", "layout")
SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""What Hugging Face's ``datasets`` takes for a split in the name of a file or a folder."""
SHARD = re.compile(r"(.+?)-(\d{5})-of-(\d{5})")


def table_at(text: str) -> Images | None:
    """Return the images of an array, a table or a data set that a text names; None where it names anything else.

    Args:
        text: ``x.npy``, ``x.npz:its_array``, ``x.pt`` or ``x.pt:its_key``, each with ``?range=-1,1`` where it holds
            floats and ``?layout=hwc`` where its shape may be read in several ways; a parquet or arrow file, a folder of
            them, or one of ``save_to_disk`` of ``datasets``, with ``:split`` and ``:column`` where there are several
            and ``?label=column`` of their classes; ``torchvision:CIFAR10?train=true&root=data``; or
            ``package.module:dataset?range=-1,1``, one's own of floats.

    Raises:
        ImportError: where a package for it is missing.
        ValueError: where it does not read, holds no images, or does not say which are meant.
    """
    bare, told = split_options(text)
    if bare.startswith(SCHEME):
        return TorchvisionSet(bare, told)
    path, choices = _existing(bare)
    if path is None:
        return _own(bare, told) if told and ":" in bare and not ADDRESS.match(bare) else None
    ending = path.suffix.lower()
    if path.is_dir():
        return _in_folder(path, choices, told)
    if ending in TABLES:
        options = Options.of(told, ("label",), bare)
        return Tables([path], _one(choices, bare), options)
    if ending == ".npy" and not choices:
        return Npy(path, Options.of(told, OF_ARRAYS, bare))
    if ending in ENDINGS:
        if not isinstance(path, Path):
            raise ValueError(f"{path}: expected a local file of torch.save, got an address. Remedy: download it.")
        return TorchFile(path, _one(choices, bare), Options.of(told, OF_ARRAYS, bare))
    if ending == ".npz" and choices != (MOMENTS,) and (choices or told or isinstance(path, Remote)):
        return Npz(path, _one(choices, bare) or ARRAY, Options.of(told, OF_ARRAYS, bare))
    return None


def _own(text: str, told: dict[str, str]) -> OwnDataset:
    options = Options.of(told, ("range",), text)
    return OwnDataset(dataset_at(text), text, options.value_range)


def _existing(text: str) -> tuple[Place | None, tuple[str, ...]]:
    """Return the path that a text begins with, None for none, and what stands behind its colons."""
    path, choices = text, ()
    while path and not place_at(path).exists():
        path, _, last = path.rpartition(":")
        choices = (last, *choices)
    return (place_at(path) if path else None), choices


def _one(choices: Sequence[str], where: str) -> str | None:
    if len(choices) > 1:
        raise ValueError(f"{where}: expected one name behind a colon, got {', '.join(choices)}.")
    return choices[0] if choices else None


def _in_folder(root: Place, choices: tuple[str, ...], told: dict[str, str]) -> Images | None:
    """Return the images in the tables below a folder; None where it has none, or where something else is meant."""
    below = files_below(root)
    found = sorted(name for name in below if name.lower().endswith(TABLES) and not hidden_part(name))
    kind = choices[0].lower() if choices and choices[0].lower() in KINDS else None
    if not found or (choices and not kind and any(map(is_choice, choices))):
        return None
    others = [name for name in below if is_image(name) or is_archive(name)]
    if others and not kind:
        if not _has_images(root / found[0]):
            return None
        raise ValueError(
            f"{root}: expected images or tables of them, got both: {len(others)} images or archives ({others[0]}) and "
            f"{len(found)} tables ({found[0]}). Remedy: {root}:{Path(found[0]).suffix[1:]} for the tables, {root}:all "
            "for the images."
        )
    kept = [name for name in found if kind in (None, name.lower().rpartition(".")[2])]
    if not kept or (kind is None and len({Path(name).suffix for name in kept}) > 1):
        raise ValueError(f"{root}: expected tables of one kind, got {', '.join(found[:5])}. Remedy: {root}:parquet.")
    left_out = Counter({"images or archives beside the tables": len(others), "other tables": len(found) - len(kept)})
    names, choices = _of_split(root, _saved(root, kept), choices[1:] if kind else choices)
    left_out["tables of other splits"] = len(kept) - len(names)
    left_out["shards that are not there"] = _missing_shards(names)
    shown = {what: count for what, count in left_out.items() if count}
    options = Options.of(told, ("label",), str(root))
    return Tables([root / name for name in names], _one(choices, str(root)), options, shown)


def _has_images(path: Place) -> bool:
    rows = open_rows(path)
    try:
        column_of(rows.schema, None, str(path))
    except ValueError:
        return False
    finally:
        rows.close()
    return True


def _of_split(root: Place, names: list[str], choices: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]]:
    """Return the tables of the split that is meant, and the choices that are left.

    Raises:
        ValueError: where there are several splits, and nobody says which.
    """
    of = {name: split_of(name) for name in names}
    splits = sorted(set(of.values()))
    chosen = [name for name in names if choices and f"-{of[name]}".endswith(f"-{choices[0]}")]
    if chosen:
        return chosen, choices[1:]
    if len(splits) > 1:
        shown = ", ".join(split or "tables of none" for split in splits)
        raise ValueError(f"{root}: expected tables of one split, got several: {shown}. Remedy: {root}:{splits[-1]}.")
    return names, choices


def split_of(name: str) -> str:
    """Return the split that a table's path says it is of; empty where it says none.

    Example:
        >>> split_of("data/train-00000-of-00002.parquet"), split_of("default/test/0000.parquet"), split_of("x.parquet")
        ('train', 'test', '')
        >>> split_of("cifar10-train-00000-of-00001.arrow"), split_of("extra/data-00000-of-00001.arrow")
        ('cifar10-train', 'extra')
    """
    shard = SHARD.match(Path(name).name)
    if shard:  # save_to_disk calls all of its tables data, and their folder as the split
        return shard[1] if shard[1] != "data" else Path(name).parent.name
    words = [SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLITS]
    return words[-1] if words else ""


def _missing_shards(names: Sequence[str]) -> int:
    """Return how many tables are not there of those that ``…-00000-of-00005`` counts."""
    found = [(str(Path(name).parent), match[1], match[3]) for name in names if (match := SHARD.match(Path(name).name))]
    return sum(max(0, int(count) - seen) for (_, _, count), seen in Counter(found).items())


def _saved(root: Place, names: list[str]) -> list[str]:
    """Return the tables that ``save_to_disk`` of ``datasets`` wrote, in its order; others as they are.

    Raises:
        ValueError: where some are missing, or rows are chosen by a file of indices.
    """
    ordered = []
    for folder in sorted({str(Path(name).parent) for name in names}):
        here = [name for name in names if str(Path(name).parent) == folder]
        state = _json(root / str(Path(folder, "state.json")))
        listed = [str(Path(folder, part["filename"])) for part in state.get("_data_files") or ()]
        if missing := sorted(set(listed) - set(here)):
            raise ValueError(f"{root}: expected the tables that state.json lists, {missing[0]} is not there.")
        if state.get("_indices_data_files"):
            raise ValueError(
                f"{root}: expected all rows, got a file of indices. Remedy: flatten_indices() of datasets."
            )
        ordered += listed or here
    return ordered


def _json(path: Place) -> dict[str, Any]:
    try:
        held = json.loads(path.read_bytes())
    except OSError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON of datasets' save_to_disk, got {error}.") from error
    return held if isinstance(held, dict) else {}
