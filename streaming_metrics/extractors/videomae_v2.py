"""VideoMAE v2, ViT-g, fine-tuned on Something-Something v2: the network of cd-fvd, the content-debiased FVD."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.extractors.clips import SIDE, ClipExtractor, stretched
from streaming_metrics.extractors.folders import transformers_of
from streaming_metrics.extractors.weights import PREFIX, digest_of_name, frozen_network, load_weights
from streaming_metrics.features import Features, Spec
from streaming_metrics.images.window import Window

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor, nn

SHA256 = "5a210a92f035dff30c53b46157b612e7a1a5d3c99700e1b2d71da5c399ca7e70"
URL = (
    "https://huggingface.co/OpenGVLab/VideoMAE2/resolve/97d119d270aca7a1217fff7f413c0c543eb325d9/"
    "mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth"
)
FRAMES, HEADS, EPSILON = 16, 16, 1e-6
LAYER = r"blocks\.(\d+)\."
RENAMED = (
    (r"patch_embed\.proj", "videomae.embeddings.patch_embeddings.projection"),
    (LAYER + r"norm1", r"videomae.encoder.layer.\1.layernorm_before"),
    (LAYER + r"norm2", r"videomae.encoder.layer.\1.layernorm_after"),
    (LAYER + r"attn\.([qv]_bias)", r"videomae.encoder.layer.\1.attention.attention.\2"),
    (LAYER + r"attn\.proj", r"videomae.encoder.layer.\1.attention.output.dense"),
    (LAYER + r"mlp\.fc1", r"videomae.encoder.layer.\1.intermediate.dense"),
    (LAYER + r"mlp\.fc2", r"videomae.encoder.layer.\1.output.dense"),
    (r"head", "classifier"),
)
"""Names of the published tensors, and of those of transformers' network."""


class VideoMAEv2(ClipExtractor):
    """VideoMAE v2 as cd-fvd takes it: 1408 features, the normalised mean of its tokens, and 174 logits.

    Both sides of 16 frames are brought to 224 (bilinear without antialias) and to [0, 1]; there is no mean and no
    standard deviation. The network is transformers' VideoMAE, with the published tensors under its names.

    Args:
        weights: a path or URL of the published checkpoint, or of another with tensors of those names. Default: that of
            OpenGVLab.
        stride: from one frame to the next; the first 16 of a clip are looked at.
        fps: see :class:`~streaming_metrics.images.window.Window`.
        heads: of its attention, which no tensor tells; others than 16 are named in signatures.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: transformers is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: weights that are damaged or of another network.
        FileNotFoundError, ConnectionError: weights that cannot be had.

    Paper: Wang et al., VideoMAE V2, CVPR 2023. Parity: cd-fvd 0.1.1, ``cdfvd("videomae")``.

    Example:
        >>> import torch
        >>> extractor = VideoMAEv2("vit_g_hybrid_pt_1200e_ssv2_ft.pth")  # doctest: +SKIP
        >>> extractor(torch.zeros(2, 16, 3, 64, 64, dtype=torch.uint8)).pool.shape  # doctest: +SKIP
        torch.Size([2, 1408])
    """

    name = "videomae-v2"
    tag = "videomae_v2"

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        stride: int = 1,
        fps: float | None = None,
        heads: int = HEADS,
        precision: str = "fp32",
    ) -> None:
        super().__init__(precision)
        transformers = transformers_of(self.name)
        source = URL if weights is None else weights
        needed = SHA256 if weights is None else digest_of_name(source, SHA256)
        state, digest = load_weights(source, needed, inside=("model", "module"))
        self.weights_id = digest[:PREFIX]
        self.layer = "pool" if heads == HEADS else f"pool-{heads}-heads"
        self.window = Window(FRAMES, stride, fps)
        self.resize = f"cd-fvd-{SIDE}-{self.window.name}"
        settings = _settings(transformers, state, heads)
        self.network: Any = frozen_network(lambda: _made(transformers, settings), renamed(state), self.name)
        self.spec = Spec(settings.hidden_size, settings.num_labels)

    def look(self, clips: Tensor) -> Features:
        """Return the features of uint8 clips ``(n, 16, 3, H, W)``."""
        pixels = stretched(clips).transpose(1, 2)  # frames before channels, as transformers has them
        with self.cast():
            tokens = self.network.videomae(pixel_values=pixels).last_hidden_state
            pool = self.network.fc_norm(tokens.mean(1))
            logits = self.network.classifier(pool)
        return Features(pool=pool.float(), logits=logits.float())


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the published tensors under transformers' names: queries, keys and values apart.

    Example:
        >>> import torch
        >>> sorted(renamed({"blocks.0.attn.qkv.weight": torch.zeros(6, 2), "head.bias": torch.zeros(3)}))[0]
        'classifier.bias'
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if match := re.fullmatch(LAYER + r"attn\.qkv\.weight", name):
            inside = f"videomae.encoder.layer.{match[1]}.attention.attention"
            parts = zip(("query", "key", "value"), tensor.chunk(3))
            found |= {f"{inside}.{part}.weight": rows.clone() for part, rows in parts}
            continue
        new = name
        for old, ours in RENAMED:
            new = re.sub(rf"^{old}(?=\.|$)", ours, new)
        found[new] = tensor
    return found


def _settings(transformers: Any, state: Mapping[str, Tensor], heads: int) -> Any:
    """Return the configuration that the tensors' shapes tell."""
    try:
        width, _, tube, patch, _ = state["patch_embed.proj.weight"].shape
        inner, labels = len(state["blocks.0.mlp.fc1.weight"]), len(state["head.weight"])
        depth = 1 + max(int(match[1]) for name in state if (match := re.match(LAYER, name)))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"weights: expected the tensors of videomae-v2, got others ({error}). Remedy: the published checkpoint; or "
            "extractor='videomae/<folder>' for one of transformers."
        ) from error
    return transformers.VideoMAEConfig(
        image_size=SIDE,
        patch_size=patch,
        tubelet_size=tube,
        num_frames=FRAMES,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=inner,
        layer_norm_eps=EPSILON,
        num_labels=labels,
        use_mean_pooling=True,
    )


def _made(transformers: Any, settings: Any) -> nn.Module:
    with torch.device("meta"):  # its thousand million numbers are those of the file: none is drawn before
        network = transformers.VideoMAEForVideoClassification(settings)
    network.fc_norm.eps = EPSILON
    return network
