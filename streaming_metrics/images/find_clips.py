"""Finding of clips: the source that a path names where a network takes clips."""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING

from streaming_metrics.images.archives import files_below
from streaming_metrics.images.clips import ClipArray, FrameFolders
from streaming_metrics.images.names import sift, why_hidden
from streaming_metrics.images.videos import Videos

if TYPE_CHECKING:
    from pathlib import Path

    from streaming_metrics.images.clips import Clips
    from streaming_metrics.images.window import Window

ENDINGS = "mp4 m4v avi mov mkv webm mpg mpeg wmv flv ogv ts"
VIDEOS = tuple(f".{ending}" for ending in ENDINGS.split())
"""Names of video files end in one of these, in small or capital letters."""
KNOWN_CLIPS = (
    "a folder of video files or of folders of frames, a video file, an .npy or .npz of clips, a saved reference, or "
    "package.module:dataset"
)


def clips_at(path: Path, window: Window) -> Clips:
    """Return the clips at a path.

    Args:
        path: a folder of video files, or of folders of frames, at any depth; a video file; an ``.npy`` or ``.npz``.
        window: which frames of each are looked at.

    Raises:
        ValueError: where there are none, or both kinds in one folder.
    """
    if path.is_dir():
        return _in_folder(path, window)
    if path.suffix in (".npy", ".npz"):
        return ClipArray(path, window)
    if path.name.lower().endswith(VIDEOS):
        return Videos(path.parent, [path.name], window, {})
    raise ValueError(f"{path}: expected {KNOWN_CLIPS}, got a file {path.name!r} of none of these kinds.")


def _in_folder(path: Path, window: Window) -> Clips:
    below = files_below(path)
    found = [name for name in below if name.lower().endswith(VIDEOS)]
    videos = [name for name in found if not why_hidden(name)]
    hidden = Counter(filter(None, map(why_hidden, found)))
    frames, left_out = sift(below)
    loose = [name for name in frames if not posixpath.dirname(name)]
    if videos and frames:
        raise ValueError(
            f"{path}: expected video files or folders of frames, got both: {len(videos)} videos ({videos[0]}) and "
            f"{len(frames)} images ({frames[0]}). Remedy: a folder of each."
        )
    if loose:
        raise ValueError(
            f"{path}: expected a folder of frames for each clip, got {len(loose)} images ({loose[0]}) in none. Remedy: "
            "the folder above, where these are the frames of one clip."
        )
    if videos:
        return Videos(path, videos, window, dict(hidden))
    if not frames:
        raise ValueError(f"{path}: expected {KNOWN_CLIPS}, found neither videos nor frames.")
    return FrameFolders(path, frames, window, left_out)
