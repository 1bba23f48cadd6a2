"""VQAScore: how likely a network that answers questions about images says that one shows its caption.

Z. Lin et al., "Evaluating text-to-visual generation with image-to-text generation", ECCV 2024.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from streaming_metrics.extractors.module import digest_of
from streaming_metrics.extractors.scorer import ScoringNetwork
from streaming_metrics.extractors.weights import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPLATE = 'Does this figure show "{}"? Please answer yes or no.'
"""The question of the paper."""


class VQAScore(ScoringNetwork):
    """VQAScore of images for their captions: ``P("Yes" | image, question)``, in [0, 1].

    The network is one of transformers' that read images and texts and have ``logits``: LLaVA, Qwen2-VL, PaliGemma
    (causal, whose last logits answer), InstructBLIP or BLIP-2 of a T5 (encoder-decoder, whose first do). The
    probability is that of the answer's first token; t2v_metrics multiplies in those after it, too, for its T5s.
    It is not copied.

    Args:
        network: called with what the processor returns.
        processor: its tokenizer pads on the left where the network is causal.
        name: what files and signatures call it; its letters and digits end the keys, ``score_<name>``.
        template: the question; ``{}`` stands for the caption.
        answer: whose probability it is.
        prompt: makes the question what the network is asked, its image token and its chat's words; by default the
            processor's chat template, or where it has none, the question as it is.

    Raises:
        ValueError: a template without ``{}``; a causal network whose tokenizer pads on the right.

    Parity: ``t2v_metrics.VQAScore`` of causal networks, whose first generated token it looks at.
    """

    resize = "own"

    def __init__(
        self,
        network: nn.Module,
        processor: Any,
        name: str = "vqascore",
        template: str = TEMPLATE,
        answer: str = "Yes",
        prompt: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__()
        config: Any = network.config
        if "{}" not in template:
            raise ValueError(f'VQAScore template: expected a question with "{{}}" for the caption, got {template!r}.')
        self.answers_last = not config.is_encoder_decoder
        if self.answers_last and processor.tokenizer.padding_side != "left":
            raise ValueError(
                "VQAScore: expected a tokenizer that pads on the left, for the last logits answer, got one that pads "
                'on the right. Remedy: processor.tokenizer.padding_side = "left".'
            )
        self.name, self.tag = name, re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        self.network, self.processor, self.template = network, processor, template
        self.prompt = prompt or self._in_chat
        self.answer = int(processor.tokenizer(answer, add_special_tokens=False).input_ids[0])
        asked = hashlib.sha256(f"{self.prompt(template)}|{answer}|{_prepared_by(processor)}".encode())
        self.weights_id = f"{digest_of(network)[:PREFIX]}-{asked.hexdigest()[:PREFIX]}"
        self.start: int | None = getattr(config, "decoder_start_token_id", None)
        self.train(False)
        self.requires_grad_(False)

    def scores(self, images: Tensor, captions: list[str]) -> Tensor:
        """Return the score of each image for its caption, ``(N,)``."""
        questions = [self.prompt(self.template.format(caption)) for caption in captions]
        pictures = list(images.permute(0, 2, 3, 1).cpu().numpy())
        inputs = self.processor(images=pictures, text=questions, padding=True, return_tensors="pt").to(images.device)
        more = {} if self.answers_last else {"decoder_input_ids": self._start_of(len(images), images.device)}
        logits = self.network(**inputs, **more).logits[:, -1].float()
        return logits.softmax(1)[:, self.answer]

    def _start_of(self, n: int, device: torch.device) -> Tensor:
        return torch.full((n, 1), 0 if self.start is None else self.start, device=device)

    def _in_chat(self, question: str) -> str:
        if not getattr(self.processor, "chat_template", None):
            return question
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def _prepared_by(processor: Any) -> str:
    """Return what a processor says of how it prepares images; empty where it says nothing."""
    images = getattr(processor, "image_processor", None)
    return "" if images is None else json.dumps(images.to_dict(), sort_keys=True, default=str)
