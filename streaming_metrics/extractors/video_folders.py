"""VideoMAE and V-JEPA 2: networks of transformers for clips, from local folders of ``save_pretrained``.

Each looks at clips through the processor that lies in its folder, transformers' own.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from streaming_metrics.extractors.clips import ClipExtractor
from streaming_metrics.extractors.folders import (
    checked_folder,
    digest_of_folder,
    network_in,
    processor_in,
    tag_of,
    transformers_of,
)
from streaming_metrics.extractors.weights import PREFIX
from streaming_metrics.features import Features, Spec
from streaming_metrics.images.window import Window

if TYPE_CHECKING:
    import os

    from torch import Tensor

SHOWN = ("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor", "do_normalize")
"""What a processor does to frames, beside mean and standard deviation."""


class FolderOfClips(ClipExtractor):
    """Network of transformers for clips in a local folder, behind the processor that lies there too.

    Attributes:
        kind: its ``model_type``.
        classes: of transformers: of the network alone, with a head, and of the processor.
        length: what its configuration calls the number of frames.
        has_head: whether the folder's network has a head, whose input is then ``Features.pool``, and its output
            ``Features.logits``; without one, the pool is the mean of all tokens.
    """

    family: ClassVar[str]
    kind: ClassVar[str]
    classes: ClassVar[tuple[str, str, str]]
    length: ClassVar[str]

    def __init__(
        self,
        folder: str | os.PathLike[str],
        frames: int | None = None,
        stride: int = 1,
        fps: float | None = None,
        precision: str = "fp32",
    ) -> None:
        super().__init__(precision)
        transformers = transformers_of(self.family)
        path, config = checked_folder(folder, self.kind, self.family)
        self.name, self.tag = f"{self.family}/{path.resolve().name}", tag_of(self.family, path)
        bare, headed, processor = self.classes
        self.has_head = headed in (config.get("architectures") or ())
        self.network: Any = network_in(getattr(transformers, headed if self.has_head else bare), path, self.family)
        self.processor = processor_in(getattr(transformers, processor), path, self.family)
        self.weights_id = digest_of_folder(path, config)[:PREFIX]
        own = getattr(self.network.config, self.length)
        self.window = Window(own if frames is None else frames, stride, fps)
        self.check_frames(own)
        self.resize = f"{_described(self.processor)}-{self.window.name}"
        settings = self.network.config
        self.spec = Spec(settings.hidden_size, settings.num_labels if self.has_head else None)

    @abstractmethod
    def check_frames(self, own: int) -> None:
        """Raise ValueError where the network cannot look at as many frames as the window has."""

    @abstractmethod
    def seen(self, clips: Tensor) -> Tensor:
        """Return what the processor makes of uint8 clips, float32 ``(n, frames, 3, side, side)``."""

    @abstractmethod
    def pooled(self, pixels: Tensor) -> Tensor:
        """Return ``(n, D)``, a row a clip."""

    def look(self, clips: Tensor) -> Features:
        """Return the features of uint8 clips ``(n, frames, 3, H, W)``."""
        pixels = self.seen(clips).to(self.device)
        with self.cast():
            pool = self.pooled(pixels)
            logits = self.network.classifier(pool).float() if self.has_head else None
        return Features(pool=pool.float(), logits=logits)


class VideoMAE(FolderOfClips):
    """VideoMAE of a local folder, ``videomae/<folder>``: the mean of its tokens, and logits where it has a head.

    With a head, the mean goes through the head's normalisation before, as the head reads it.

    Args:
        folder: with ``config.json``, ``*.safetensors`` and ``preprocessor_config.json``, as ``save_pretrained`` writes
            them; nothing is fetched.
        frames: that a clip is looked at with, its first; as many as the network was made for, which is the default.
        stride: from one of these frames to the next.
        fps: see :class:`~streaming_metrics.images.window.Window`.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: transformers is missing; ``pip install "streaming-metrics[networks]"``.
        FileNotFoundError, ValueError: where the folder lacks a file or a tensor, or holds another network.

    Paper: Tong et al., VideoMAE, NeurIPS 2022. Parity: transformers' ``VideoMAEModel`` and its processor.

    Example:
        >>> VideoMAE("models/videomae-base")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: videomae: expected a local folder with config.json ...
    """

    family, kind, length = "videomae", "videomae", "num_frames"
    classes = "VideoMAEModel", "VideoMAEForVideoClassification", "VideoMAEImageProcessor"

    def check_frames(self, own: int) -> None:
        """Raise ValueError unless the window has as many frames as the network has places for."""
        if self.window.frames != own:
            raise ValueError(f"frames: expected {own}, which {self.name} has places for, got {self.window.frames}.")

    def seen(self, clips: Tensor) -> Tensor:
        """Return what the processor makes of uint8 clips, on the CPU, where it works."""
        videos = [list(clip) for clip in clips.permute(0, 1, 3, 4, 2).cpu().numpy()]
        return self.processor(videos, return_tensors="pt", input_data_format="channels_last")["pixel_values"]

    def pooled(self, pixels: Tensor) -> Tensor:
        """Return the mean of the tokens, as the head reads it where there is one."""
        if not self.has_head:
            return self.network(pixel_values=pixels).last_hidden_state.mean(1)
        tokens = self.network.videomae(pixel_values=pixels).last_hidden_state
        return tokens[:, 0] if self.network.fc_norm is None else self.network.fc_norm(tokens.mean(1))


class VJEPA(FolderOfClips):
    """V-JEPA 2 of a local folder, ``vjepa/<folder>``: the mean of the encoder's tokens.

    With a head, the pool is what its attentive pooler makes of them, and logits are the head's: what JEDi takes of
    V-JEPA with its probe of Something-Something v2. That first V-JEPA is in no library, so that its features must come
    from the authors' code (``extractor=None``).

    Args:
        folder: with ``config.json``, ``*.safetensors`` and the processor's configuration, as ``save_pretrained`` writes
            them; nothing is fetched.
        frames: that a clip is looked at with, its first; by default as many as its configuration says.
        stride: from one of these frames to the next.
        fps: see :class:`~streaming_metrics.images.window.Window`.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: transformers is missing; ``pip install "streaming-metrics[networks]"``.
        FileNotFoundError, ValueError: where the folder lacks a file or a tensor, or holds another network.

    Paper: Assran et al., V-JEPA 2, 2025. Parity: transformers' ``VJEPA2Model`` and its processor.

    Example:
        >>> VJEPA("models/vjepa2-vitl-fpc64-256")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: vjepa: expected a local folder with config.json ...
    """

    family, kind, length = "vjepa", "vjepa2", "frames_per_clip"
    classes = "VJEPA2Model", "VJEPA2ForVideoClassification", "VJEPA2VideoProcessor"

    def check_frames(self, own: int) -> None:  # noqa: ARG002
        """Raise ValueError unless the frames are whole tubes."""
        tube = self.network.config.tubelet_size
        if self.window.frames % tube:
            raise ValueError(f"frames: expected a multiple of {tube}, a tube of {self.name}, got {self.window.frames}.")

    def seen(self, clips: Tensor) -> Tensor:
        """Return what the processor makes of uint8 clips, where they are."""
        return self.processor(list(clips), return_tensors="pt", do_sample_frames=False)["pixel_values_videos"]

    def pooled(self, pixels: Tensor) -> Tensor:
        """Return the mean of the encoder's tokens, or what the pooler of a head makes of them."""
        encoder = self.network.vjepa2 if self.has_head else self.network
        tokens = encoder.get_vision_features(pixels)
        return self.network.pooler(tokens) if self.has_head else tokens.mean(1)


def _described(processor: Any) -> str:
    """Return what a processor does to frames: its sizes, and 4 hex digits of all that it does."""
    told = {name: processor.to_dict().get(name) for name in (*SHOWN, "image_mean", "image_std")}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:4]
    sides = [f"{word}{'x'.join(str(s) for s in dict(told[n] or {}).values() if s)}" for word, n in NAMED]
    return "-".join(["processor", *sides, digest])


NAMED = (("", "size"), ("crop", "crop_size"))
