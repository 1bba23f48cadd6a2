"""Window: which frames of a clip a network looks at; its name is in signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming_metrics.arguments import check_integer, check_real

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Window of a clip: its first frames, every ``stride``-th of them, at a rate.

    Args:
        frames: how many are looked at.
        stride: from one to the next.
        fps: frames a second that video files are brought to before, each by the frame that is shown at that time; None
            takes the frames that a file holds. Frames that come as images or tensors have no clock: they are taken to
            be at this rate.

    Example:
        >>> Window(16).name, Window(16, stride=4, fps=24).name
        ('16f', '16f-stride4-24fps')
    """

    frames: int
    stride: int = 1
    fps: float | None = None

    def __post_init__(self) -> None:
        check_integer("frames", self.frames, least=1)
        check_integer("stride", self.stride, least=1)
        if self.fps is not None:
            check_real("fps", self.fps, above=0)

    @property
    def name(self) -> str:
        """How signatures give it."""
        stride = "" if self.stride == 1 else f"-stride{self.stride}"
        return f"{self.frames}f{stride}" + ("" if self.fps is None else f"-{_plain(self.fps)}fps")

    @property
    def span(self) -> int:
        """Frames that a clip must have."""
        return (self.frames - 1) * self.stride + 1

    def of(self, clips: Tensor) -> Tensor:
        """Return the frames that are looked at, ``(N, frames, 3, H, W)``, of clips ``(N, T, 3, H, W)``.

        Raises:
            ValueError: where the clips are shorter.
        """
        if clips.shape[1] < self.span:
            raise ValueError(
                f"Expected clips of at least {self.span} frames ({self.name}), got {tuple(clips.shape)}. Remedy: "
                "longer clips, or an extractor made with fewer frames= or a smaller stride=."
            )
        return clips[:, : self.span : self.stride]


def _plain(rate: float) -> str:
    """Return a rate in the fewest digits that tell it from every other: 24000/1001 is not 23.976."""
    return repr(float(rate)).removesuffix(".0")
