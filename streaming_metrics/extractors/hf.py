"""Networks of transformers for images, from local folders: ``hf/<folder>``; nothing is fetched or run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.folders import (
    checked_folder,
    digest_of_folder,
    network_in,
    processor_in,
    tag_of,
    transformers_of,
)
from streaming_metrics.extractors.hf_processor import preprocess_of
from streaming_metrics.extractors.names import lookup
from streaming_metrics.extractors.resize import fast_layout
from streaming_metrics.extractors.weights import PREFIX
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os
    from pathlib import Path

LAYERS = {"pool": "one feature vector an image", "class": "tokens, the first of which is an image's,"}
OWN_CODE = {"trust_remote_code": False}
"""What keeps transformers from running, or asking to run, code that lies in a folder."""
TEXTS = ("tokenizer*", "vocab*", "merges*", "*.model")
"""Files of a tokenizer."""


class HFExtractor(Extractor):
    """A network of transformers in a local folder, made by its own class of transformers, behind its own processor.

    The pool is what the network gives for an image: what its classifier reads (and then there are logits too), its
    embedding where it has one of images and of texts, else its ``pooler_output``. ``text`` is the embedding of a
    caption, where a tokenizer lies in the folder too; neither embedding is normalised.

    Images are prepared by the values of the folder's processor as Pillow does it, bit for bit: as the slow processors
    of transformers, from which the fast ones, which resize by torch, differ by a rounding.

    Args:
        folder: with ``config.json``, ``*.safetensors`` and ``preprocessor_config.json``, as ``save_pretrained`` writes.
        layer: ``"pool"``, or ``"class"``: the class token of the last layer.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: transformers is missing; ``pip install "streaming-metrics[networks]"``.
        FileNotFoundError: the folder lacks a file.
        ValueError: it lacks a tensor; it is of a class or a processor that is not known, or of a network that gives no
            feature of an image, or another one each time.

    Parity: the class of transformers, and its slow image processor.

    Example:
        >>> HFExtractor("models/vit-base")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: hf/vit-base: expected a local folder with config.json ...
    """

    def __init__(self, folder: str | os.PathLike[str], layer: str = "pool", precision: str = "fp32") -> None:
        super().__init__(precision)
        lookup(LAYERS, layer, "layer of hf")
        path, config = checked_folder(folder, None, f"hf/{_last(folder)}")
        self.name, self.tag, self.layer = f"hf/{path.resolve().name}", tag_of("hf", path), layer
        transformers = transformers_of(self.name)
        processor = processor_in(transformers.AutoImageProcessor, path, self.name, use_fast=True, **OWN_CODE)
        self.preprocess = preprocess_of(processor, self.name)
        self.resize = self.preprocess.name
        self.network: Any = network_in(
            _class_of(transformers, config, self.name), path, self.name, ("pooler.",) if layer == "class" else ()
        )
        self.head: Any = getattr(self.network, "classifier", None)
        if self.head is not None:
            self.network.classifier = nn.Identity()  # its logits are then what the classifier reads
        tokenizer = _digest_of_files(path) if hasattr(self.network, "get_text_features") else ""
        self.reads_captions = bool(tokenizer)
        if tokenizer:
            self.tokenizer: Any = processor_in(transformers.AutoTokenizer, path, self.name, **OWN_CODE)
        seen = {**config, "scale": [self.preprocess.mean, self.preprocess.std], "tokenizer": tokenizer}
        self.weights_id = digest_of_folder(path, seen)[:PREFIX]
        self.spec = self._tried()

    def extract(self, images: Tensor, captions: tuple[str, ...] | None = None) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)``, and of their captions where these came."""
        pixels = fast_layout(self.preprocess(images), self.precision)
        with self.cast():
            pool = self._pooled(pixels).flatten(1)
            logits = None if isinstance(self.head, nn.Identity | None) else self.head(pool).float()
            columns = {} if captions is None else {"text": self._embedded(captions).float()}
        return Features(pool=pool.float().contiguous(), logits=logits, **columns)

    def _pooled(self, pixels: Tensor) -> Tensor:
        if self.layer == "pool" and hasattr(self.network, "get_image_features"):
            return self.network.get_image_features(pixel_values=pixels)
        if self.layer == "class":
            tokens = getattr(getattr(self.network, "vision_model", self.network)(pixels), "last_hidden_state", None)
            found = None if tokens is None or tokens.ndim != 3 else tokens[:, 0]
        elif self.head is not None:
            found = self.network(pixel_values=pixels).logits
        else:
            given = self.network(pixel_values=pixels)
            found = getattr(given, "image_embeds", getattr(given, "pooler_output", None))
        if found is None:
            raise TypeError("it gives none")
        return found

    def _embedded(self, captions: tuple[str, ...]) -> Tensor:
        length = self.network.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        return self.network.get_text_features(**tokens.to(self.device))

    def _tried(self) -> Spec:
        """Return the widths that an image gives; raise ValueError where it gives other features each time."""
        image = torch.arange(3 * 64 * 64).view(1, 3, 64, 64).mul(37).fmod(251).to(torch.uint8)
        captions = ("a caption",) if self.reads_captions else None
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                first, again = (self.extract(image, captions) for _ in range(2))
        except (TypeError, ValueError) as error:  # of its signature, of its outputs, of the side
            raise ValueError(
                f"{self.name}: expected a network that gives {LAYERS[self.layer]} of {self.preprocess.side} pixels, "
                f"got {type(self.network).__name__} ({error}). Remedy: save the network alone, "
                "AutoModel.from_pretrained(…).save_pretrained(folder); another layer=; or an nn.Module as extractor=."
            ) from error
        if first.pool is None or again.pool is None or not torch.equal(first.pool, again.pool):
            raise ValueError(
                f"{self.name}: expected a network that gives an image the same features every time, got "
                f"{type(self.network).__name__}, which draws random numbers. Remedy: an nn.Module that does not."
            )
        text, classes = first.column("text"), first.logits
        widths = {} if text is None else {"text": text.shape[1]}
        return Spec(first.pool.shape[1], None if classes is None else classes.shape[1], widths)


def _last(folder: str | os.PathLike[str]) -> str:
    return str(folder).rstrip("/").rpartition("/")[2]


def _class_of(transformers: Any, config: dict[str, Any], name: str) -> Any:
    """Return the class that wrote the folder: the network, whole, whose features are meant."""
    architecture = next(iter(config.get("architectures") or ()), None)
    found = getattr(transformers, str(architecture), None)
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):  # AutoModel may run own code
        raise ValueError(
            f"{name}: expected the name of a class of transformers in its architectures, got {architecture!r}. Remedy: "
            "network.save_pretrained(folder); a network with code of its own as an nn.Module, extractor=."
        )
    return found


def _digest_of_files(path: Path) -> str:
    """Return a sha256 of a folder's tokenizer, or "" where there is none."""
    files = sorted({file for pattern in TEXTS for file in path.glob(pattern)})
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest() if (path / "tokenizer_config.json").is_file() else ""
