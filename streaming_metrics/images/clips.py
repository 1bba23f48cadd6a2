"""Sources of clips, uint8 ``(T, 3, H, W)`` each: folders of frames, arrays, datasets of one's own."""

from __future__ import annotations

import re
from abc import abstractmethod
from pathlib import Path
from posixpath import split
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from streaming_metrics.images.archives import Folder
from streaming_metrics.images.arrays import ARRAY
from streaming_metrics.images.base import Images
from streaming_metrics.images.conversion import CHANNELS
from streaming_metrics.images.decode import Unreadable
from streaming_metrics.images.forms import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streaming_metrics.images.window import Window

LAYOUTS = "(N, T, 3, H, W) or (N, T, H, W, 3)"
RANK = 5


class Clips(Images):
    """Source of clips, of which the first frames are read: as many as a window spans.

    Attributes:
        window: which frames a network looks at.
    """

    window: Window

    @abstractmethod
    def read(self, i: int) -> Tensor:
        """Return the first frames of clip i, ``(T, 3, H, W)`` uint8, no more than the window spans if that saves work;
        raise :class:`Unreadable` where it does not read.
        """

    def __getitem__(self, i: int) -> Tensor:
        """Return clip i, uint8 ``(span, 3, H, W)``; raise :class:`Unreadable` where it has fewer frames."""
        frames = self.read(i)
        if len(frames) < self.window.span:
            raise Unreadable(f"expected at least {self.window.span} frames ({self.window.name}), got {len(frames)}")
        return frames[: self.window.span]


class FrameFolders(Clips):
    """Folders of frames, a clip each, in the order of their paths; frames by their names, numbers in these by value.

    Args:
        root: the folder that they are below.
        names: of the frames, below it, each in a folder of its clip.
        window: how many frames of each are read.
        left_out: how many files are not counted, by reason.

    Example:
        >>> from streaming_metrics.images.window import Window
        >>> folders = FrameFolders("real", ["b/10.png", "b/9.png", "a/x.png"], Window(2), {})
        >>> [(folders.name(i), [folders.images.name(k) for k in folders.frames[i]]) for i in range(2)]
        [('real/a', ['real/a/x.png']), ('real/b', ['real/b/9.png', 'real/b/10.png'])]
    """

    def __init__(self, root: str | Path, names: Sequence[str], window: Window, left_out: Mapping[str, int]) -> None:
        self.images, self.window, self.left_out = Folder(root, names, left_out), window, left_out
        by_folder: dict[str, list[int]] = {}
        for number in sorted(range(len(names)), key=lambda n: by_number(self.images.names[n])):
            by_folder.setdefault(split(self.images.names[number])[0], []).append(number)
        self.folders = sorted(by_folder)
        self.frames = [by_folder[folder] for folder in self.folders]

    def __len__(self) -> int:
        return len(self.folders)

    def name(self, i: int) -> str:
        return str(self.images.root / self.folders[i])

    def path_below(self, i: int) -> str:
        return self.folders[i]

    def read(self, i: int) -> Tensor:
        frames = []
        for number in self.frames[i][: self.window.span]:
            try:
                frames.append(self.images[number])
            except Unreadable as error:
                raise Unreadable(f"frame {split(self.images.names[number])[1]}: {error}") from error
        if len({frame.shape for frame in frames}) > 1:
            raise Unreadable("expected frames of one size, got several")
        return torch.stack(frames)


class ClipArray(Clips):
    """The clips in an ``.npy``, or in ``arr_0`` of an ``.npz``: uint8 ``(N, T, 3, H, W)`` or ``(N, T, H, W, 3)``.

    An array in which either axis may be the channels is refused.

    Args:
        path: of the file; an ``.npy`` is read where it lies.
        window: how many frames of each are read.

    Raises:
        ValueError: where the file does not read, or holds no such array.
    """

    def __init__(self, path: str | Path, window: Window) -> None:
        self.path, self.window = Path(path), window
        try:
            self.array: np.ndarray = _array(self.path)
        except Exception as error:  # zipfile, zlib and numpy each have their own for what does not read
            raise ValueError(
                f"{path}: expected an .npy, or an .npz with {ARRAY}, got one that does not read: "
                f"{type(error).__name__}: {error}."
            ) from error
        self.is_last = _channels_are_last(self.array, self.path)

    def __len__(self) -> int:
        return len(self.array)

    def name(self, i: int) -> str:
        return f"{self.path}[{i}]"

    def read(self, i: int) -> Tensor:
        frames = torch.from_numpy(np.array(self.array[i, : self.window.span]))
        return frames.movedim(-1, 1).contiguous() if self.is_last else frames

    def __getstate__(self) -> dict[str, Any]:
        is_mapped = isinstance(self.array, np.memmap)  # each process maps the file for itself
        return vars(self) | ({"array": None} if is_mapped else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.array is None:
            self.array = _array(self.path)


class OwnClips(Clips):
    """A dataset of clips by its import path.

    Args:
        dataset: map-style; its items are clips, or tuples or dicts with one: uint8 tensors or arrays ``(T, 3, H, W)``,
            or arrays ``(T, H, W, 3)``.
        source: names it in errors.
        window: how many frames of each are read.
    """

    def __init__(self, dataset: Sequence[Any], source: str, window: Window) -> None:
        self.dataset, self.source, self.window = dataset, source, window

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, i: int) -> str:
        return f"{self.source}[{i}]"

    def read(self, i: int) -> Tensor:
        try:
            item = self.dataset[i]
        except Exception as error:  # whatever a user's own data set raises
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        inside = list(item.values()) if isinstance(item, dict) else item if isinstance(item, (tuple, list)) else [item]
        clip = next((part for part in inside if isinstance(part, (Tensor, np.ndarray)) and part.ndim == RANK - 1), None)
        clip = torch.from_numpy(np.array(clip)) if isinstance(clip, np.ndarray) else clip
        if clip is None or clip.dtype != torch.uint8 or (clip.shape[1] == CHANNELS) == (clip.shape[3] == CHANNELS):
            raise Unreadable(f"expected a uint8 clip (T, 3, H, W) or (T, H, W, 3), got {describe(item)}")
        return clip if clip.shape[1] == CHANNELS else clip.movedim(-1, 1).contiguous()


def by_number(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by so that ``9.png`` comes before ``10.png``.

    Example:
        >>> sorted(["f10.png", "f9.png", "f09.png"], key=by_number)
        ['f09.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts] + [(0, name)]


def _array(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    with np.load(path, allow_pickle=False) as archive:
        return archive[ARRAY]


def _channels_are_last(array: np.ndarray, path: Path) -> bool:
    """Return where an array's channels stand; raise ValueError where it holds no clips, or either axis may be them."""
    is_clips = array.dtype == np.uint8 and array.ndim == RANK and array.size
    first, last = (is_clips and array.shape[axis] == CHANNELS for axis in (2, 4))
    if first == last:
        both = "; either axis of 3 may be the channels" if first else ""
        raise ValueError(
            f"{path}: expected clips of uint8 {LAYOUTS}, got {array.dtype} {array.shape}{both}. Remedy: "
            "numpy.save(path, clips) with clips of one of these shapes."
        )
    return bool(last)
