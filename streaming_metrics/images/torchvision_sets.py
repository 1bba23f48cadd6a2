"""Datasets of torchvision by their names, ``torchvision:CIFAR10?train=true&root=data``; nothing is downloaded."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from streaming_metrics.images.options import typed
from streaming_metrics.images.own import OwnDataset

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEME = "torchvision:"
NOT_TOLD = {"self", "download", "loader", "is_valid_file", "transform", "target_transform", "transforms"}
PARTS = {"train": "true or train=false", "split": "train, say"}
"""Arguments that say which part of a dataset is meant, and what they may be: torchvision would take its default."""
TARGETS = ("targets", "labels", "_labels", "y")
"""What torchvision's datasets call the classes of all their images."""


class TorchvisionSet(OwnDataset):
    """A dataset of torchvision that lies on disk already.

    Args:
        text: ``torchvision:`` and the name of its class.
        told: its arguments, by name.

    Raises:
        FileNotFoundError: where it is not there; with the command that downloads it.
        ValueError: where there is no such dataset, it takes other arguments, or does not say which part is meant.

    Example:
        >>> images = TorchvisionSet("torchvision:FakeData", {"size": "4", "image_size": "(3, 8, 9)"})
        >>> len(images), images[3].shape
        (4, torch.Size([3, 8, 9]))
    """

    def __init__(self, text: str, told: Mapping[str, str]) -> None:
        kind = _class_of(text)
        arguments = _arguments(kind, told, text)
        source = f"{text}?{'&'.join(f'{name}={value}' for name, value in told.items())}".removesuffix("?")
        super().__init__(_made(kind, arguments, source), source)
        self.classes = getattr(self.dataset, "classes", None) or getattr(self.dataset, "categories", None)
        self.targets = next(
            (found for name in TARGETS if self._is_column(found := getattr(self.dataset, name, None))), None
        )

    def label(self, i: int) -> str | None:
        if self.targets is None:
            return None
        number = int(self.targets[i])
        if not isinstance(self.classes, list | tuple):
            return str(number)
        name = self.classes[number]
        return name if isinstance(name, str) else ", ".join(map(str, name))  # ImageNet's are tuples of words

    def _is_column(self, found: Any) -> bool:
        return hasattr(found, "__len__") and len(found) == len(self)


def _class_of(text: str) -> type:
    import torchvision.datasets as all_of_them

    name = text.removeprefix(SCHEME)
    kind = getattr(all_of_them, name, None) if name in all_of_them.__all__ else None
    if not isinstance(kind, type):
        close = ", ".join(known for known in all_of_them.__all__ if known.lower() == name.lower())
        raise ValueError(
            f"{text}: expected a dataset of torchvision.datasets, got {name!r}. "
            f"Remedy: {f'{SCHEME}{close}' if close else f'{SCHEME}CIFAR10?train=true&root=data, say'}."
        )
    return kind


def _arguments(kind: type, told: Mapping[str, str], text: str) -> dict[str, Any]:
    """Return a dataset's arguments, typed; raise ValueError for those that it does not take, or that it lacks."""
    taken = inspect.signature(kind.__init__).parameters
    known = [name for name, one in taken.items() if name not in NOT_TOLD and one.kind is not one.VAR_KEYWORD]
    if others := [name for name in told if name not in known]:
        raise ValueError(f"{text}: expected of {', '.join(known)}, got {', '.join(others)}.")
    needed = [name for name in known if taken[name].default is inspect.Parameter.empty or name in PARTS]
    lacking = [name for name in needed if name not in told]
    if lacking:
        say = "&".join(f"{name}={PARTS.get(name, '…')}" for name in lacking)
        raise ValueError(f"{text}: expected to know {', '.join(lacking)}. Remedy: say so behind it, {text}?{say}.")
    return {name: value if name == "root" else typed(value) for name, value in told.items()}


def _made(kind: type, arguments: Mapping[str, Any], source: str) -> Any:
    try:
        dataset = kind(**arguments)
        len(dataset)
    except (RuntimeError, FileNotFoundError) as error:
        raise FileNotFoundError(_download(kind, arguments, source, error)) from error
    except Exception as error:  # each dataset has its own
        line = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{source}: expected a dataset, got {type(error).__name__}: {line}.") from error
    return dataset


def _download(kind: type, arguments: Mapping[str, Any], source: str, error: Exception) -> str:
    line = (str(error).splitlines() or [""])[0].partition(". ")[0].rstrip(".")
    called = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    if "download" not in inspect.signature(kind.__init__).parameters:
        return f"{source}: {line}. Remedy: put it there; torchvision does not download {kind.__name__}."
    code = f"from torchvision.datasets import {kind.__name__}; {kind.__name__}({called}, download=True)"
    return f'{source}: {line}. Nothing is downloaded here. Remedy: python -c "{code}".'
