"""Clips from wherever they are: the same frames from folders, videos, arrays and datasets; damage is refused."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor
from video_networks import draw_clips, write_frames, write_video

from streaming_metrics.images import Part, Unreadable, find_source
from streaming_metrics.images.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming_metrics.images import Images

CLIPS = draw_clips(3, 12, 20, 32, seed=7)
WINDOW = Window(10)
DATASET = [{"clip": clip, "label": 1} for clip in CLIPS]
ARRAYS = [clip.permute(0, 2, 3, 1).numpy() for clip in CLIPS]
BROKEN = [CLIPS[0], CLIPS[1].float(), "no clip", CLIPS[2, :, 0]]


def folders(path: Path) -> str:
    for number, clip in enumerate(CLIPS):
        write_frames(path / f"c{number}", clip)
    return str(path)


def nested(path: Path) -> str:
    for number, clip in enumerate(CLIPS):
        write_frames(path / "ab"[number // 2] / f"c{number}", clip)
    return str(path)


def videos(ending: str, **options: Any) -> Callable[[Path], str]:
    def write(path: Path) -> str:
        for number, clip in enumerate(CLIPS):
            write_video(path / f"c{number}.{ending}", clip, **options)
        return str(path)

    return write


def array(name: str, layout: Callable[[Tensor], Tensor]) -> Callable[[Path], str]:
    def write(path: Path) -> str:
        save = {"npy": np.save, "npz": np.savez}[name.rpartition(".")[2]]
        save(path / name, layout(CLIPS).numpy())
        return str(path / name)

    return write


SOURCES: dict[str, Callable[[Path], str]] = {
    "folders of frames": folders,
    "folders in folders": nested,
    "mp4": videos("mp4"),
    "mkv, in capital letters": videos("MKV", codec="ffv1", pixels="bgr0"),
    "avi": videos("avi", codec="ffv1", pixels="bgr0"),
    "npy": array("clips.npy", lambda clips: clips),
    "npy, channels last": array("clips.npy", lambda clips: clips.movedim(2, -1)),
    "npz": array("clips.npz", lambda clips: clips),
    "a dataset": lambda _: "test_clips:DATASET",
    "a dataset of arrays": lambda _: "test_clips:ARRAYS",
}


def clips_in(text: str, window: Window = WINDOW) -> Images:
    source = find_source(text, window)
    assert not hasattr(source, "about")
    return source  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_clips_in_the_same_order(kind: str, tmp_path: Path) -> None:
    source = clips_in(SOURCES[kind](tmp_path))
    again = pickle.loads(pickle.dumps(source))
    assert len(source) == len(again) == 3
    for number, clip in enumerate(CLIPS):
        assert torch.equal(source[number], clip[:10])
        assert torch.equal(again[number], clip[:10])
    assert len({source.name(number) for number in range(3)}) == 3
    assert torch.equal(Part(source, 2, seed=1)[0], source[Part(source, 2, seed=1).chosen[0]])


def test_a_video_file_alone_is_one_clip(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", CLIPS[0])
    assert torch.equal(clips_in(str(tmp_path / "a.mp4"))[0], CLIPS[0, :10])


def test_a_stride_needs_more_frames_and_leaves_them_to_the_network(tmp_path: Path) -> None:
    source = clips_in(folders(tmp_path), Window(4, stride=3))
    assert torch.equal(source[1], CLIPS[1, :10])
    with pytest.raises(Unreadable, match=r"expected at least 13 frames \(5f-stride3\), got 12"):
        clips_in(str(tmp_path), Window(5, stride=3))[0]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_another_rate_takes_the_frame_that_is_shown_at_each_time(ending: str, tmp_path: Path) -> None:
    codec = {"mp4": {}, "mkv": {"codec": "ffv1", "pixels": "bgr0"}}[ending]
    path = str(write_video(tmp_path / f"a.{ending}", CLIPS[0], fps=24, **codec))
    for fps, expected in (
        (24, list(range(12))),
        (12, [0, 2, 4, 6, 8, 10]),
        (8, [0, 3, 6, 9]),
        (48, [k // 2 for k in range(23)]),
        (16, [0, 1, 3, 4, 6, 7, 9, 10]),
    ):
        assert torch.equal(clips_in(path, Window(len(expected), fps=fps))[0], CLIPS[0, expected]), fps
        with pytest.raises(Unreadable, match="expected at least"):
            clips_in(path, Window(len(expected) + 1, fps=fps))[0]


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_frames(tmp_path / "c", CLIPS[0])
    assert [name.name for name in sorted((tmp_path / "c").iterdir())][:3] != [
        "frame_0.png",
        "frame_1.png",
        "frame_2.png",
    ]
    assert torch.equal(clips_in(str(tmp_path), Window(12))[0], CLIPS[0])


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 12, 8, 8), r"expected clips of uint8 \(N, T, 3, H, W\) or \(N, T, H, W, 3\), got uint8 \(2, 3, 12"),
        ((2, 12, 3, 8, 3), "either axis of 3 may be the channels"),
        ((2, 3, 8, 8), r"got uint8 \(2, 3, 8, 8\)"),
        ((0, 12, 3, 8, 8), r"got uint8 \(0, 12"),
    ],
)
def test_an_array_of_another_layout_is_refused(shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=message):
        clips_in(str(tmp_path / "a.npy"))


def test_an_array_of_floats_or_that_does_not_read_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 12, 3, 8, 8), np.float32))
    with pytest.raises(ValueError, match="got float32"):
        clips_in(str(tmp_path / "a.npy"))
    for name in ("b.npy", "b.npz"):
        (tmp_path / name).write_bytes(b"no array")
        with pytest.raises(ValueError, match="got one that does not read"):
            clips_in(str(tmp_path / name))


def test_folders_that_may_be_read_in_two_ways_are_refused(tmp_path: Path) -> None:
    write_frames(tmp_path / "one", CLIPS[0])
    with pytest.raises(ValueError, match=r"expected a folder of frames for each clip, got 12 images .* in none"):
        clips_in(str(tmp_path / "one"))
    write_video(tmp_path / "a.mp4", CLIPS[0])
    with pytest.raises(ValueError, match=r"expected video files or folders of frames, got both: 1 videos \(a.mp4\)"):
        clips_in(str(tmp_path))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="found neither videos nor frames"):
        clips_in(str(tmp_path / "none"))
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"got a file 'a\.txt' of none of these kinds"):
        clips_in(str(tmp_path / "a.txt"))
    with pytest.raises(FileNotFoundError):
        clips_in(str(tmp_path / "nowhere"))


def test_hidden_videos_are_counted(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", CLIPS[0])
    (tmp_path / "._a.mp4").write_bytes(b"")
    assert clips_in(str(tmp_path)).left_out == {"hidden (by their names)": 1}


def test_damage_is_one_clip_that_does_not_read(tmp_path: Path) -> None:
    content = write_video(tmp_path / "whole.mp4", CLIPS[0]).read_bytes()
    (tmp_path / "b_cut.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "c_other.mp4").write_bytes(b"no video")
    (tmp_path / "d_empty.mp4").write_bytes(b"")
    source = clips_in(str(tmp_path))
    assert torch.equal(source[3], CLIPS[0, :10])
    for number in range(3):
        with pytest.raises(Unreadable, match="Error"):
            source[number]


def test_a_frame_that_does_not_read_is_named(tmp_path: Path) -> None:
    folders(tmp_path)
    (tmp_path / "c1" / "frame_3.png").write_bytes(b"no image")
    source = clips_in(str(tmp_path))
    with pytest.raises(Unreadable, match=r"frame frame_3.png: no image of a known kind"):
        source[1]
    (tmp_path / "c2" / "frame_4.png").unlink()
    (tmp_path / "c2" / "frame_5.png").unlink()
    (tmp_path / "c2" / "frame_6.png").unlink()
    source = clips_in(str(tmp_path))
    with pytest.raises(Unreadable, match=r"expected at least 10 frames \(10f\), got 9"):
        source[2]


def test_frames_of_two_sizes_are_one_clip_that_does_not_read(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", CLIPS[0])
    write_frames(tmp_path / "b", CLIPS[0, :1, :, :10])
    (tmp_path / "b" / "frame_0.png").rename(tmp_path / "a" / "frame_5.png")
    with pytest.raises(Unreadable, match="expected frames of one size"):
        clips_in(str(tmp_path))[0]


def test_items_of_a_dataset_that_are_no_clips_are_named() -> None:
    source = clips_in("test_clips:BROKEN")
    assert torch.equal(source[0], CLIPS[0, :10])
    for number in (1, 2, 3):
        with pytest.raises(Unreadable, match=r"expected a uint8 clip \(T, 3, H, W\) or \(T, H, W, 3\), got"):
            source[number]


def test_without_pyav_videos_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", CLIPS[0])
    true_import = builtins.__import__

    def without_av(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "av":
            raise ImportError("no av")
        return true_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(ImportError, match=r'pip install "streaming-metrics\[video\]"'):
        clips_in(str(tmp_path))


def test_an_npz_of_clips_and_moments_must_be_told_which(tmp_path: Path) -> None:
    path = tmp_path / "both.npz"
    np.savez(path, CLIPS.numpy(), mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(ValueError, match=r"holds images \(arr_0\) and moments"):
        find_source(str(path), WINDOW)
    assert torch.equal(clips_in(f"{path}:arr_0")[1], CLIPS[1, :10])
    assert hasattr(find_source(f"{path}:mu", WINDOW), "about")
