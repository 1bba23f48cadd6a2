"""Tiny networks of clips, written as published ones are: a TorchScript file, folders of transformers, a checkpoint."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pathlib import Path

FRAMES, SIDE = 4, 32


class TinyI3D(nn.Module):
    """Called as StyleGAN-V's file is: 400 logits of pooled corners and of the change from frame to frame."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(24, 400)

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        if rescale or resize or not return_features:
            raise RuntimeError("called otherwise")
        change = (x[:, :, 1:] - x[:, :, :-1]).abs().mean(2)
        seen = [nn.functional.adaptive_avg_pool2d(part, 2).flatten(1) for part in (x.mean(2), change)]
        return self.linear(torch.cat(seen, 1))


def seeded(make: Any, *args: object) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(*args).eval()


def write_script(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(module).save(str(path))
    return path


def write_i3d(path: Path) -> Path:
    return write_script(seeded(TinyI3D), path)


def write_videomae(folder: Path, head: bool = False) -> Path:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEImageProcessor, VideoMAEModel

    config = VideoMAEConfig(
        image_size=SIDE,
        num_frames=FRAMES,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        num_labels=5,
    )
    seeded(VideoMAEForVideoClassification if head else VideoMAEModel, config).save_pretrained(folder)
    VideoMAEImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(
        folder
    )
    return folder


def write_vjepa(folder: Path, head: bool = False) -> Path:
    from transformers import VJEPA2Config, VJEPA2ForVideoClassification, VJEPA2Model, VJEPA2VideoProcessor

    config = VJEPA2Config(
        crop_size=SIDE,
        frames_per_clip=FRAMES,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        num_pooler_layers=1,
        num_labels=5,
    )
    seeded(VJEPA2ForVideoClassification if head else VJEPA2Model, config).save_pretrained(folder)
    options: Any = {"crop_size": SIDE}
    VJEPA2VideoProcessor(**options).save_pretrained(folder)
    return folder


def draw_clips(n: int, frames: int, height: int, width: int, seed: int) -> Tensor:
    """Draw uint8 clips in which something moves."""
    generator = torch.Generator().manual_seed(seed)
    still = torch.rand(n, 1, 3, height // 4, width // 4, generator=generator)
    moved = torch.cat([still.roll(shift, -1) for shift in range(frames)], 1).flatten(0, 1)
    big = nn.functional.interpolate(moved, (height, width), mode="bicubic").unflatten(0, (n, frames))
    return (big.clamp(0, 1) * 255).round().to(torch.uint8)


def write_video(path: Path, frames: Tensor, fps: int = 24, codec: str = "libx264rgb", pixels: str = "rgb24") -> Path:
    """Write frames ``(T, 3, H, W)`` uint8 as a video file, without loss."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[-2:], pixels
        stream.options = {"crf": "0"}
        for frame in frames.permute(0, 2, 3, 1).contiguous().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_frames(folder: Path, frames: Tensor) -> Path:
    """Write frames ``(T, 3, H, W)`` uint8 as numbered files."""
    from streaming_metrics.images.encode import png_of

    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        (folder / f"frame_{number}.png").write_bytes(png_of(frame))
    return folder
