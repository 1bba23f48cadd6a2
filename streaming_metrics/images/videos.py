"""Video files as clips, decoded by PyAV; the only door to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.images.clips import Clips
from streaming_metrics.images.decode import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from streaming_metrics.images.window import Window

EARLY = 1e-3
"""Seconds by which a container's rounding may put a frame behind the time that it is shown at."""


class Videos(Clips):
    """Video files, a clip each, in the order of their paths: the first frames of the first video stream.

    Frames are those that the file holds, or where the window has ``fps`` those that are shown at that many times a
    second, from the first on. They are brought to RGB by FFmpeg as the file says, and not rotated.

    Args:
        root: the folder.
        names: of the files, below it.
        window: how many frames of each are read.
        left_out: how many files are not counted, by reason.

    Raises:
        ImportError: PyAV is missing; ``pip install "streaming-metrics[video]"``.
    """

    def __init__(self, root: str | Path, names: Sequence[str], window: Window, left_out: Mapping[str, int]) -> None:
        _pyav()
        self.root, self.names, self.window, self.left_out = Path(root), sorted(names), window, left_out

    def __len__(self) -> int:
        return len(self.names)

    def name(self, i: int) -> str:
        return str(self.root / self.names[i])

    def path_below(self, i: int) -> str:
        return self.names[i]

    def read(self, i: int) -> Tensor:
        av = _pyav()
        try:
            with av.open(str(self.root / self.names[i]), options=STRICT) as container:
                frames = _at_rate(_decoded(container), self.window.fps)
                found = [frame for _, frame in zip(range(self.window.span), frames)]
        except (OSError, av.FFmpegError) as error:
            raise Unreadable(f"{type(error).__name__}: {error}") from error
        if len({frame.shape for frame in found}) > 1:
            raise Unreadable("expected frames of one size, got several")
        return torch.stack(found) if found else torch.empty(0, 3, 0, 0, dtype=torch.uint8)


STRICT = {"err_detect": "crccheck+bitstream+buffer+careful+explode"}
"""What makes FFmpeg say that a file is damaged, where it would show what it makes of it."""


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise ImportError(
            'Videos: their package is missing. Remedy: pip install "streaming-metrics[video]"; or folders of frames.'
        ) from error
    return av


def _decoded(container: Any) -> Iterator[tuple[float | None, Tensor]]:
    """Yield the time of each frame of the first video stream, in seconds, and the frame ``(3, H, W)``."""
    if not container.streams.video:
        raise Unreadable("no video stream")
    stream = container.streams.video[0]
    stream.codec_context.options = STRICT
    for frame in container.decode(stream):
        if frame.is_corrupt:
            raise Unreadable("a damaged frame")
        yield frame.time, torch.from_numpy(frame.to_ndarray(format="rgb24").transpose(2, 0, 1).copy())


def _at_rate(frames: Iterator[tuple[float | None, Tensor]], fps: float | None) -> Iterator[Tensor]:
    """Yield the frames that are shown at multiples of ``1/fps`` seconds from the first on; all of them for None.

    The last is yielded once: for how long it is shown, files do not say alike.
    """
    if fps is None:
        yield from (frame for _, frame in frames)
        return
    count, first, shown, last = 0, None, None, 0.0
    for time, frame in frames:
        if time is None:
            raise Unreadable("frames without times, which fps= needs")
        first = time if first is None else first
        while shown is not None and count / fps < time - first - EARLY:
            yield shown
            count += 1
        shown, last = frame, time - first
    if shown is not None and count / fps <= last + EARLY:
        yield shown
