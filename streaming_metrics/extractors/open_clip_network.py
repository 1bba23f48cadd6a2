"""Any network of open_clip, by its name and its training there: embeddings of images, and of their captions."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from streaming_metrics.extractors.base import Extractor
from streaming_metrics.extractors.names import lookup, package_of, unknown
from streaming_metrics.extractors.preprocess import CLIP as CLIP_SCALE
from streaming_metrics.extractors.preprocess import Preprocess
from streaming_metrics.extractors.weights import PREFIX, frozen_network, load_weights
from streaming_metrics.features import Features, Spec

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from streaming_metrics.extractors.preprocess import Crop, Rgb

CROPS: dict[str, Crop] = {"shortest": "shorter", "squash": "none"}
"""Crops by open_clip's names of them."""


@dataclass(frozen=True)
class Prepare:
    """How images are prepared, but for the side, which the architecture says."""

    crop: Crop = "shorter"
    resize: str = "pil-bicubic"
    mean: Rgb = CLIP_SCALE[0]
    std: Rgb = CLIP_SCALE[1]

    def at(self, side: int) -> Preprocess:
        """Return it for a side."""
        return Preprocess(side, self.resize, self.crop, side if self.crop == "shorter" else None, self.mean, self.std)


class OpenClipExtractor(Extractor):
    """A network of open_clip: pool is the embedding of the image, not normalised; ``text`` that of its caption.

    Captions are read where they come beside images, and are needed only by measures of ``text``.

    Args:
        model: a name of ``open_clip.list_models()`` and one of its trainings, as ``open_clip.list_pretrained()`` gives
            both: ``"ViT-B-32/laion2b_s34b_b79k"``. The training says how images are prepared, and which weights; its
            name may be left out where ``weights`` are given and all trainings prepare images alike.
        weights: path or URL of a ``state_dict`` in open_clip's names. Default: the published file of the training.
        precision: ``"fp32"``, ``"tf32"`` or ``"bf16"``, see :class:`Extractor`.

    Raises:
        ImportError: open_clip is missing; ``pip install "streaming-metrics[networks]"``.
        ValueError: no such network or training; neither a training nor weights; a training with the activation of
            another network (``quickgelu``); weights that are damaged or of another.
        FileNotFoundError, ConnectionError: weights, or a tokenizer, that cannot be had.

    Parity: ``encode_image`` and ``encode_text`` of open_clip, after its own transform and tokenizer.
    """

    reads_captions = True

    def __init__(self, model: str, weights: str | os.PathLike[str] | None = None, precision: str = "fp32") -> None:
        name = f"open_clip/{model}"
        architecture, _, training = model.partition("/")
        prepare, url = _training(package_of("open_clip", name), architecture, training)
        if weights is None and not training:
            raise ValueError(
                f"{name}: expected a training or weights=, for several were published of one network, got neither. "
                f"Remedy: {name}/<training>, of open_clip.list_pretrained_tags_by_model({architecture!r})."
            )
        state, digest = load_weights(url if weights is None else weights, inside=("state_dict",))
        self._make(name, architecture, state, digest, prepare, precision)

    def _make(
        self, name: str, architecture: str, state: dict[str, Tensor], digest: str, prepare: Prepare, precision: str
    ) -> None:
        super().__init__(precision)
        open_clip = package_of("open_clip", name)
        self.name, self.tag = name, re.sub(r"[^a-z0-9]+", "_", name.lower())
        self.weights_id, self.architecture = digest[:PREFIX], architecture
        with _without_its_log(), _offline(name, "the configuration of its text network"):
            network: Any = frozen_network(lambda: _made(open_clip, architecture), _tensors(state), name)
        self.network: nn.Module = network
        side = network.visual.image_size
        self.preprocess = prepare.at(side if isinstance(side, int) else side[0])
        self.resize = self.preprocess.name
        width = open_clip.get_model_config(architecture)["embed_dim"]
        self.spec = Spec(width, widths={"text": width})

    @cached_property
    def tokenize(self) -> Any:
        """What makes tokens of captions; some of open_clip's are fetched, so only once captions come."""
        with _without_its_log(), _offline(self.name, "its tokenizer"):
            return package_of("open_clip", self.name).get_tokenizer(self.architecture)

    def extract(self, images: Tensor, captions: tuple[str, ...] | None = None) -> Features:
        """Return the features of checked uint8 images ``(N, 3, H, W)``, and of their captions where these came."""
        network: Any = self.network
        with self.cast():
            pool = network.encode_image(self.preprocess(images)).float()
            if captions is None:
                return Features(pool=pool)
            tokens = self.tokenize(list(captions)).to(pool.device)
            return Features(pool=pool, text=network.encode_text(tokens).float())


def _made(open_clip: Any, architecture: str) -> nn.Module:
    """Return a network under random weights; text networks of transformers too, whose own would be fetched, unasked."""
    return open_clip.create_model(architecture, load_weights=False, pretrained_hf=False)


def _tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors but for the numbers of places, which older text networks of transformers saved."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(".embeddings.position_ids")}


def _training(open_clip: Any, architecture: str, training: str) -> tuple[Prepare, str]:
    """Return how a training prepares images, and the URL of its weights; without a name: as all do, and ""."""
    known = open_clip.list_models()
    if architecture not in known:
        raise unknown(architecture, "network of open_clip", nearby=known, listed=["open_clip.list_models()"])
    trainings = open_clip.list_pretrained_tags_by_model(architecture)
    if training and training not in trainings:
        raise unknown(training, f"training of open_clip/{architecture}", nearby=trainings, listed=trainings)
    facts = [open_clip.get_pretrained_cfg(architecture, one) for one in ([training] if training else trainings)]
    if training:
        _check_activation(open_clip, architecture, training, facts[0])
        return _prepare(facts[0]), _url(facts[0])
    ways = {_prepare(one) for one in facts} or {Prepare()}
    if len(ways) > 1:
        raise ValueError(
            f"open_clip/{architecture}: expected a training, for they prepare images in {len(ways)} ways, got none. "
            f"Remedy: open_clip/{architecture}/<training>: {', '.join(trainings)}."
        )
    return ways.pop(), ""


def _prepare(facts: Mapping[str, Any]) -> Prepare:
    crop = lookup(CROPS, facts["resize_mode"], "crop of open_clip")
    return Prepare(crop, f"pil-{facts['interpolation']}", tuple(facts["mean"]), tuple(facts["std"]))


def _check_activation(open_clip: Any, architecture: str, training: str, facts: Mapping[str, Any]) -> None:
    if facts.get("quick_gelu") and not open_clip.get_model_config(architecture).get("quick_gelu"):
        raise ValueError(
            f"open_clip/{architecture}/{training}: expected an architecture with quick GELU, as it was trained, "
            f"got one without. Remedy: open_clip/{architecture}-quickgelu/{training}."
        )


def _url(facts: Mapping[str, Any]) -> str:
    """Return the URL of published weights: the hub's, where they are tensors only."""
    repository, _, file = facts["hf_hub"].rpartition("/")
    return f"https://huggingface.co/{repository}/resolve/main/{file or 'open_clip_model.safetensors'}"


@contextmanager
def _offline(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConnectionError(
            f"{name}: {what} cannot be fetched ({str(error).splitlines()[0]}). Remedy: fetch it once where there is a "
            "network, into the folder HF_HOME; captions aside, images need no tokenizer."
        ) from error


@contextmanager
def _without_its_log() -> Iterator[None]:
    """Keep open_clip from warning that the weights are random, which they are not for long."""
    log, handler = logging.getLogger(), logging.NullHandler()
    level = log.level
    log.addHandler(handler)  # without any, the first line would set the log up
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
