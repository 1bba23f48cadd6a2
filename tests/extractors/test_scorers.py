"""Scorers by name under random weights of tiny configurations: their networks, preprocessing, texts and formulas."""

# ruff: noqa: ARG005 (a tokenizer has fixed arguments)

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from streaming_metrics import GenerativeMetrics, MeanScore
from streaming_metrics.extractors import HPSv2, ImageReward, PickScore, VQAScore
from streaming_metrics.extractors.image_reward import HEAD, MEAN, STD, TOKENS, _Reward, renamed

if TYPE_CHECKING:
    from pathlib import Path

transformers = pytest.importorskip("transformers")
open_clip = pytest.importorskip("open_clip")
torchvision = pytest.importorskip("torchvision.transforms")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
IMAGES = torch.randint(0, 256, (3, 3, 40, 53), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WORDS = ["a cat", "a dog on a mat", "cat"]
SIDE = 32


def pictures() -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in IMAGES]


def check_scores(scorer: Any, expected: Tensor) -> None:
    """What it yields, alone and through a metric."""
    torch.testing.assert_close(scorer(IMAGES, WORDS).score.flatten(), expected.float(), rtol=1e-4, atol=1e-4)
    assert scorer(IMAGES).column("score") is None
    metric = GenerativeMetrics([MeanScore()], scorer)
    metric.update(IMAGES, real=True)
    metric.update(IMAGES, real=False, captions=WORDS)
    assert metric.compute()[f"score_{scorer.tag}"].item() == pytest.approx(expected.mean().item(), rel=1e-3, abs=1e-4)


# --- PickScore --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny CLIP of transformers and its processor."""
    folder = tmp_path_factory.mktemp("clip")
    letters = [*"acdgmnot", *(f"{letter}</w>" for letter in "acdgmnot"), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(letters)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**size, "vocab_size": len(letters), "eos_token_id": len(letters) - 1, "max_position_embeddings": 77}
    config = transformers.CLIPConfig(text, {**size, "image_size": SIDE, "patch_size": 16}, projection_dim=8)
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)
    return folder


def test_pick_score_is_that_of_its_card(clip_folder: Path) -> None:
    model = transformers.CLIPModel.from_pretrained(clip_folder).eval()
    processor = transformers.CLIPImageProcessor.from_pretrained(clip_folder)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(clip_folder)
    with torch.no_grad():
        image = model.get_image_features(**processor(pictures(), return_tensors="pt"))
        tokens = tokenizer(WORDS, padding=True, truncation=True, max_length=77, return_tensors="pt")
        text = model.get_text_features(**tokens)
        image, text = (side / side.norm(dim=-1, keepdim=True) for side in (image, text))
        expected = (model.logit_scale.exp() * (text @ image.T)).diagonal()
    check_scores(PickScore(clip_folder), expected)


def test_other_words_have_another_fingerprint(clip_folder: Path, tmp_path: Path) -> None:
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert PickScore(tmp_path).fingerprint == PickScore(clip_folder).fingerprint
    words = json.loads((tmp_path / "vocab.json").read_text())
    words["a</w>"], words["d</w>"] = words["d</w>"], words["a</w>"]
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    transformers.CLIPTokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(tmp_path)
    assert PickScore(tmp_path).fingerprint != PickScore(clip_folder).fingerprint


def test_folders_that_hold_no_clip_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"pickscore: expected a local folder with config.json"):
        PickScore(tmp_path)
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "blip"}')
    with pytest.raises(ValueError, match="pickscore: expected a network of model_type 'clip', got 'blip'"):
        PickScore(tmp_path)


# --- HPSv2 ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_open_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    vision = {"image_size": SIDE, "layers": 2, "width": 16, "head_width": 8, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    file = tmp_path_factory.mktemp("configs") / "ViT-tiny-of-tests.json"
    file.write_text(json.dumps({"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(file)
    return file.stem


@pytest.mark.parametrize("images", [IMAGES, IMAGES.transpose(2, 3), IMAGES[..., :SIDE, :SIDE]])
def test_hps_is_100_times_the_cosine(images: Tensor, tiny_open_clip: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = open_clip.create_model(tiny_open_clip).eval()
    torch.save({"state_dict": network.state_dict(), "epoch": 1}, tmp_path / "hps.pt")
    scale = SIDE / max(images.shape[-2:])
    sizes = [round(size * scale) for size in images.shape[-2:]]
    bicubic = torchvision.InterpolationMode.BICUBIC
    pixels = torchvision.Resize(sizes, bicubic, antialias=True)(images / 255) if scale != 1 else images / 255
    left, above = ((SIDE - size) // 2 for size in reversed(sizes))
    canvas = torch.zeros(len(images), 3, SIDE, SIDE)
    canvas[..., above : above + sizes[0], left : left + sizes[1]] = pixels
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    with torch.no_grad():
        image = network.encode_image(torchvision.Normalize(mean, std)(canvas), normalize=True)
        text = network.encode_text(open_clip.get_tokenizer(tiny_open_clip)(WORDS), normalize=True)
    scorer = HPSv2("v2.1", tmp_path / "hps.pt", tiny_open_clip)
    found = scorer(images, WORDS).score.flatten()
    torch.testing.assert_close(found, 100 * (image * text).sum(1), rtol=1e-4, atol=1e-3)
    assert (scorer.tag, scorer.spec.widths, scorer(images).column("score")) == ("hpsv2_1", {"score": 1}, None)
    assert scorer.label.endswith(f"-{tiny_open_clip}")  # its activation, for one, is in no tensor


def test_an_unknown_version_is_told() -> None:
    with pytest.raises(ValueError, match=r"Unknown version of HPSv2 'v3'.*There are: v2\.0, v2\.1"):
        HPSv2("v3")


# --- ImageReward ------------------------------------------------------------------------------------------------------

VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION |= {"image_size": SIDE, "patch_size": 16, "layer_norm_eps": 1e-6}
TEXT = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT |= {"intermediate_size": 12, "max_position_embeddings": 40}
BACK = (
    ("vision.post_layernorm.", "blip.visual_encoder.norm."),
    ("vision.embeddings.patch_embedding.", "blip.visual_encoder.patch_embed.proj."),
    ("vision.embeddings.position_embedding", "blip.visual_encoder.pos_embed"),
    ("vision.embeddings.class_embedding", "blip.visual_encoder.cls_token"),
    ("vision.encoder.layers.", "blip.visual_encoder.blocks."),
    ("self_attn.projection", "attn.proj"),
    ("self_attn.qkv", "attn.qkv"),
    ("layer_norm", "norm"),
    ("head.", "mlp.layers."),
    ("text.", "blip.text_encoder."),
)


def under_the_authors_names(network: nn.Module) -> dict[str, Tensor]:
    found = {"blip.vision_proj.weight": torch.ones(2), "blip.text_proj.bias": torch.ones(2)}
    for name, tensor in network.state_dict().items():
        for ours, theirs in BACK:
            name = name.replace(ours, theirs)
        found[name] = tensor
    return found


def test_image_reward_reads_the_authors_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = _Reward(transformers, VISION, TEXT).eval()
    state = under_the_authors_names(network)
    assert "blip.visual_encoder.blocks.1.attn.qkv.weight" in state
    assert "blip.text_encoder.encoder.layer.0.crossattention.self.query.weight" in state
    assert renamed(state).keys() == network.state_dict().keys()
    torch.save(state, tmp_path / "ImageReward.pt")
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "on"])
    )
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))
    tokenizer.save_pretrained(tmp_path)
    prepare = torchvision.Compose(
        [
            torchvision.Resize(SIDE, interpolation=torchvision.InterpolationMode.BICUBIC),
            torchvision.CenterCrop(SIDE),
            torchvision.ToTensor(),
            torchvision.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    tokens = tokenizer(WORDS, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
    with torch.no_grad():
        rewards = network(
            torch.stack([prepare(picture) for picture in pictures()]), tokens.input_ids, tokens.attention_mask
        )
    scorer = ImageReward(tmp_path, tmp_path / "ImageReward.pt", VISION, TEXT)
    check_scores(scorer, (rewards - MEAN) / STD)
    one_head = ImageReward(tmp_path, tmp_path / "ImageReward.pt", VISION, {**TEXT, "num_attention_heads": 1})
    assert one_head.fingerprint != scorer.fingerprint
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "on"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    other_words = ImageReward(tmp_path, tmp_path / "ImageReward.pt", VISION, TEXT)
    assert other_words.fingerprint != scorer.fingerprint


def test_the_published_sizes_are_those_of_the_authors_file() -> None:
    from streaming_metrics.extractors import image_reward

    with torch.device("meta"):
        network = _Reward(transformers, image_reward.VISION, image_reward.TEXT)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes["vision.embeddings.position_embedding"] == (1, 197, 1024)
    assert shapes["text.encoder.layer.11.crossattention.self.key.weight"] == (768, 1024)
    assert shapes["text.embeddings.word_embeddings.weight"] == (30524, 768)
    assert [shapes[f"head.{place}.weight"][0] for place in (0, 2, 4, 6, 7)] == list(HEAD)


# --- VQAScore ---------------------------------------------------------------------------------------------------------


class Answering(nn.Module):
    """A network whose answer depends on the image's brightness and the length of the question."""

    def __init__(self, is_encoder_decoder: bool) -> None:
        super().__init__()
        self.config = SimpleNamespace(is_encoder_decoder=is_encoder_decoder, decoder_start_token_id=1)
        self.scale = nn.Parameter(torch.tensor(0.1))

    def forward(self, pixel_values: Tensor, input_ids: Tensor, decoder_input_ids: Tensor | None = None) -> Any:
        answer = self.scale * pixel_values.mean(1) + input_ids.sum(1)
        steps = input_ids.shape[1] if decoder_input_ids is None else decoder_input_ids.shape[1]
        last = torch.stack([torch.zeros_like(answer), answer, -answer], 1)
        logits = torch.zeros(len(last), steps, 3)
        logits[:, -1] = last
        return SimpleNamespace(logits=logits)


class Processor:
    """A processor of images and texts, with a tokenizer of words."""

    chat_template = None
    image_processor: Any = None

    def __init__(self, padding_side: str = "left") -> None:
        self.asked: list[str] = []
        self.tokenizer: Any = lambda text, add_special_tokens: SimpleNamespace(input_ids=[{"Yes": 1, "No": 2}[text]])
        self.tokenizer.padding_side = padding_side

    def __call__(self, images: list[np.ndarray], text: list[str], padding: bool, return_tensors: str) -> Any:
        assert padding
        assert return_tensors == "pt"
        assert images[0].shape == (40, 53, 3)
        self.asked += text
        pixels = torch.stack([torch.from_numpy(image).float().flatten() / 255 for image in images])
        ids = torch.tensor([[0.01 * len(question)] for question in text])
        return transformers.BatchFeature({"pixel_values": pixels, "input_ids": ids})


@pytest.mark.parametrize("is_encoder_decoder", [False, True])
def test_vqa_score_is_the_probability_of_yes(is_encoder_decoder: bool) -> None:
    processor, network = Processor(), Answering(is_encoder_decoder)
    scorer = VQAScore(network, processor, "tiny-vqa")
    questions = [f'Does this figure show "{words}"? Please answer yes or no.' for words in WORDS]
    brightness = 0.1 * (IMAGES.float() / 255).flatten(1).mean(1)
    answers = brightness + torch.tensor([0.01 * len(question) for question in questions])
    expected = torch.stack([torch.zeros(3), answers, -answers], 1).softmax(1)[:, 1]
    check_scores(scorer, expected)
    assert processor.asked[:3] == questions
    assert VQAScore(network, processor, "tiny-vqa", answer="No").fingerprint != scorer.fingerprint
    assert VQAScore(network, processor, "tiny-vqa", prompt="USER: {}".format).fingerprint != scorer.fingerprint
    processor.image_processor = SimpleNamespace(to_dict=lambda: {"size": 7})
    assert VQAScore(network, processor, "tiny-vqa").fingerprint != scorer.fingerprint


def test_what_a_question_needs_is_told() -> None:
    with pytest.raises(ValueError, match="expected a tokenizer that pads on the left"):
        VQAScore(Answering(False), Processor("right"))
    with pytest.raises(ValueError, match="VQAScore template: expected a question"):
        VQAScore(Answering(False), Processor(), template="Is it good?")
