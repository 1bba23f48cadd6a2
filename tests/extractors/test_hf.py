"""Folders of transformers for images: features as its own classes give, pixels as its own processors."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers as hf
from PIL import Image
from reference_weights import draw_images

from streaming_metrics.extractors import resolve
from streaming_metrics.extractors.hf import HFExtractor
from streaming_metrics.extractors.hf_processor import preprocess_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

IMAGES = draw_images(2, 40, 57, seed=1)
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}
STAGES: dict[str, Any] = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_labels": 5}
TEXT = {**VISION, "vocab_size": 9, "max_position_embeddings": 6, "bos_token_id": 1, "eos_token_id": 2}
WORDS = ["<pad>", "<s>", "</s>", "<unk>", "a", "red", "cat", "and", "dog"]
SQUARE = {"height": 32, "width": 32}


def squeezed() -> Any:
    return hf.ViTImageProcessor(size=SQUARE)


def cut() -> Any:
    return hf.CLIPImageProcessor(size={"shortest_edge": 37}, crop_size=SQUARE)


def clip() -> Any:
    return hf.CLIPModel(hf.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12))


def write(folder: Path, network: Callable[[], Any], processor: Any) -> Any:
    """Write a folder as ``save_pretrained`` does, and return the network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = network().eval()
    made.save_pretrained(folder)
    processor.save_pretrained(folder)
    return made


def pixels_of(processor: Any, images: Tensor = IMAGES) -> Tensor:
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    return processor(pictures, return_tensors="pt")["pixel_values"]


def close(ours: Tensor | None, theirs: Tensor) -> bool:
    assert ours is not None
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm()) < 1e-5


# Of a network, a processor, and what the pool is.
NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[Any, Tensor], Tensor]]] = {
    "pooler": (lambda: hf.ViTModel(hf.ViTConfig(**VISION)), squeezed, lambda net, x: net(x).pooler_output),
    "class token": (
        lambda: hf.Dinov2Model(hf.Dinov2Config(**VISION)),
        cut,
        lambda net, x: net(x).last_hidden_state[:, 0],
    ),
    "attention pooling": (
        lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**VISION)),
        lambda: hf.SiglipImageProcessor(size=SQUARE),
        lambda net, x: net(x).pooler_output,
    ),
    "projection": (
        lambda: hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**VISION, projection_dim=12)),
        cut,
        lambda net, x: net(x).image_embeds,
    ),
    "of images and texts": (clip, cut, lambda net, x: net.get_image_features(x)),
    "spatial mean": (
        lambda: hf.ConvNextV2Model(hf.ConvNextV2Config(**STAGES)),
        lambda: hf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875),
        lambda net, x: net(x).pooler_output,
    ),
    "resized after scaling": (
        lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**VISION)),
        lambda: hf.DINOv3ViTImageProcessorFast(size=SQUARE),
        lambda net, x: net(x).pooler_output,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NETWORKS)
def test_it_equals_the_network_and_its_processor(case: str, tmp_path: Path) -> None:
    make, processor, pooled = NETWORKS[case]
    network = write(tmp_path, make, processor())
    extractor = resolve(f"hf/{tmp_path}")
    with torch.no_grad():
        theirs = pooled(network, pixels_of(processor()))
    assert close(extractor(IMAGES).pool, theirs)
    assert extractor.spec.num_features == theirs.shape[1]
    assert extractor.spec.num_classes is None


@pytest.mark.parametrize(("make", "read"), [
    (lambda: hf.ViTForImageClassification(hf.ViTConfig(**VISION, num_labels=5)),
     lambda net, x: net.vit(x).last_hidden_state[:, 0]),
    (lambda: hf.Dinov2ForImageClassification(hf.Dinov2Config(**VISION, num_labels=5)),
     lambda net, x: torch.cat([(t := net.dinov2(x).last_hidden_state)[:, 0], t[:, 1:].mean(1)], 1)),
    (lambda: hf.ResNetForImageClassification(hf.ResNetConfig(**STAGES, layer_type="basic")),
     lambda net, x: net.resnet(x).pooler_output.flatten(1)),
], ids=["vit", "dinov2", "resnet"])  # fmt: skip
def test_a_classifiers_pool_is_what_it_reads(make: Any, read: Any, tmp_path: Path) -> None:
    network = write(tmp_path, make, squeezed())
    features = resolve(f"hf/{tmp_path}")(IMAGES)
    with torch.no_grad():
        pixels = pixels_of(squeezed())
        assert close(features.pool, read(network, pixels))
        assert close(features.logits, network(pixels).logits)


@pytest.mark.parametrize("make", [
    lambda: hf.ViTModel(hf.ViTConfig(**VISION), add_pooling_layer=False), clip
], ids=["without a pooler", "of images and texts"])  # fmt: skip
def test_the_class_token_is_a_layer(make: Any, tmp_path: Path) -> None:
    network = write(tmp_path, make, squeezed())
    extractor = resolve(f"hf/{tmp_path}(layer='class')")
    with torch.no_grad():
        theirs = getattr(network, "vision_model", network)(pixels_of(squeezed())).last_hidden_state[:, 0]
    assert close(extractor(IMAGES).pool, theirs)
    assert extractor.label.endswith("-class")


def test_captions_are_embedded_where_a_tokenizer_lies_in_the_folder(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    template: Any = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    words.post_processor = template
    read = {"pad_token": "<pad>", "unk_token": "<unk>", "model_input_names": ["input_ids", "attention_mask"]}
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=words, **read)
    network = write(tmp_path, clip, cut())
    without = resolve(f"hf/{tmp_path}")
    tokenizer.save_pretrained(tmp_path)
    extractor = resolve(f"hf/{tmp_path}")
    assert (without.reads_captions, extractor.reads_captions) == (False, True)
    assert without.fingerprint != extractor.fingerprint
    captions = ["a red cat", "a dog and a dog and a dog and a dog"]
    tokens = torch.tensor([[1, 4, 5, 6, 2, 0], [1, 4, 8, 7, 4, 2]])
    with torch.no_grad():
        theirs = network.get_text_features(tokens, attention_mask=(tokens != 0).long())
    assert close(extractor(IMAGES, captions).text, theirs)
    assert extractor(IMAGES).column("text") is None
    assert extractor.spec.widths == {"text": 12}


PROCESSORS: dict[str, Any] = {
    "vit": lambda: hf.ViTImageProcessor(size=SQUARE),
    "vit, unscaled": lambda: hf.ViTImageProcessor(size=SQUARE, do_normalize=False),
    "deit": lambda: hf.DeiTImageProcessor(size={"height": 40, "width": 40}, crop_size=SQUARE),
    "beit": lambda: hf.BeitImageProcessor(size={"height": 36, "width": 36}, crop_size=SQUARE),
    "clip, of an odd margin": lambda: hf.CLIPImageProcessor(size={"shortest_edge": 35}, crop_size=SQUARE),
    "bit": lambda: hf.BitImageProcessor(size={"shortest_edge": 38}, crop_size=SQUARE),
    "siglip": lambda: hf.SiglipImageProcessor(size=SQUARE),
    "convnext, small": lambda: hf.ConvNextImageProcessor(size={"shortest_edge": 28}, crop_pct=0.8),
    "convnext, large": lambda: hf.ConvNextImageProcessor(size={"shortest_edge": 384}, crop_pct=0.8),
}


TALL = ("clip, of an odd margin", "bit", "convnext, small")
"""Those that keep proportions: recent releases of Pillow squeeze tall images columns first."""


@pytest.mark.parametrize(("case", "size"), [*((c, (41, 58)) for c in PROCESSORS), *((c, (57, 40)) for c in TALL)])
def test_pixels_are_those_of_the_slow_processor(case: str, size: tuple[int, int]) -> None:
    processor, images = PROCESSORS[case](), draw_images(1, *size, seed=3)
    torch.testing.assert_close(preprocess_of(processor, case)(images), pixels_of(processor, images))


@pytest.mark.parametrize(("processor", "options"), [
    (hf.ViTImageProcessor, {"size": {"height": 32, "width": 48}}),
    (hf.ViTImageProcessor, {"size": SQUARE, "do_resize": False}),
    (hf.ViTImageProcessor, {"size": SQUARE, "do_rescale": False}),
    (hf.ViTImageProcessor, {"size": SQUARE, "rescale_factor": 1 / 127.5}),
    (hf.ViTImageProcessor, {"size": SQUARE, "resample": 0}),
    (hf.CLIPImageProcessor, {"size": {"shortest_edge": 32}, "do_center_crop": False}),
    (hf.CLIPImageProcessor, {"size": {"shortest_edge": 30}, "crop_size": SQUARE}),
    (hf.DeiTImageProcessor, {"size": {"height": 37, "width": 37}, "crop_size": SQUARE}),
    (hf.LevitImageProcessor, {}),
])  # fmt: skip
def test_a_processor_that_does_something_else_is_refused(processor: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^hf/mine: expected a processor of ViT.*Remedy: an nn.Module"):
        preprocess_of(processor(**options), "hf/mine")


@pytest.mark.parametrize(("make", "layer", "said"), [
    (lambda: hf.ViTMAEForPreTraining(hf.ViTMAEConfig(**VISION)), "pool", "expected a network that gives one feature"),
    (lambda: hf.ViTMAEModel(hf.ViTMAEConfig(**VISION)), "class", "which draws random numbers"),
    (lambda: hf.ViTModel(hf.ViTConfig(**VISION), add_pooling_layer=False), "pool", "found none of .'pooler.dense"),
    (lambda: hf.ViTModel(hf.ViTConfig(**{**VISION, "image_size": 48})), "pool", "doesn't match model"),
    (lambda: hf.ResNetModel(hf.ResNetConfig(**STAGES)), "class", "gives tokens, the first of which"),
    (lambda: hf.BertModel(hf.BertConfig(**VISION)), "pool", "got BertModel"),
])  # fmt: skip
def test_a_network_without_such_a_feature_is_refused(make: Any, layer: str, said: str, tmp_path: Path) -> None:
    write(tmp_path, make, squeezed())
    with pytest.raises(ValueError, match=rf"hf/{tmp_path.name}: .*{said}"):
        HFExtractor(tmp_path, layer)


def test_code_in_a_folder_is_neither_run_nor_asked_for(tmp_path: Path) -> None:
    write(tmp_path, lambda: hf.ViTModel(hf.ViTConfig(**VISION)), squeezed())
    (tmp_path / "mine.py").write_text("raise SystemExit('run')")
    config = json.loads((tmp_path / "config.json").read_text())
    changed = {**config, "architectures": ["Mine"], "auto_map": {"AutoModel": "mine.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r"expected the name of a class of transformers .* got 'Mine'"):
        HFExtractor(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    processor = json.loads((tmp_path / "preprocessor_config.json").read_text())
    own = {"image_processor_type": "Mine", "auto_map": {"AutoImageProcessor": "mine.Mine"}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**processor, **own}))
    with pytest.raises(FileNotFoundError, match=r"expected the configuration of a AutoImageProcessor .* Remedy: "):
        HFExtractor(tmp_path)


def test_scale_and_weights_change_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path, lambda: hf.ViTModel(hf.ViTConfig(**VISION)), squeezed())
    before = HFExtractor(tmp_path)
    hf.ViTImageProcessor(size=SQUARE, image_mean=[0.4, 0.4, 0.4]).save_pretrained(tmp_path)
    assert before.resize == HFExtractor(tmp_path).resize
    assert before.weights_id != HFExtractor(tmp_path).weights_id


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"hf/nowhere: expected a local folder with config\.json"):
        resolve(f"hf/{tmp_path}/nowhere")
    write(tmp_path, lambda: hf.ViTModel(hf.ViTConfig(**VISION)), squeezed())
    with pytest.raises(ValueError, match="Did you mean 'class'"):
        resolve(f"hf/{tmp_path}(layer='clas')")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match="expected the configuration of a AutoImageProcessor"):
        resolve(f"hf/{tmp_path}")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'Remedy: pip install "streaming-metrics\[networks\]"'):
        resolve(f"hf/{tmp_path}")


def test_a_class_that_may_run_code_of_the_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``AutoModel`` would ask whether to run it, and do so."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "net"
    write(folder, lambda: hf.ViTModel(hf.ViTConfig(**VISION)), squeezed())
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    (folder / "code.py").write_text(code)
    own = {"AutoConfig": "code.Config", "AutoModel": "code.Net"}
    config = {"model_type": "of-its-own", "architectures": ["AutoModel"], "auto_map": own}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="expected the name of a class of transformers in its architectures"):
        HFExtractor(folder)
    assert not (tmp_path / "ran").exists()
