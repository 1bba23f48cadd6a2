"""Networks by name: timm's, DINOv2 and CLIP, under random weights, against timm, transformers and torch-fidelity."""

from __future__ import annotations

import json
import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import open_clip
import pytest
import timm
import torch
from open_clip.transform import image_transform
from PIL import Image
from reference_weights import draw_images, write_dinov2
from torch import Tensor
from torch.nn.functional import interpolate, silu

from streaming_metrics import GenerativeMetrics, RPrecision
from streaming_metrics.extractors import open_clip_network, resolve
from streaming_metrics.extractors.clip import CLIP, PUBLISHED, Published
from streaming_metrics.extractors.dinov2 import ARCHITECTURES, DINOv2, as_timm, at_grid
from streaming_metrics.extractors.names import NETWORKS
from streaming_metrics.extractors.open_clip_network import OpenClipExtractor
from streaming_metrics.extractors.timm_network import NAMED, TimmExtractor

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = draw_images(2, 40, 56, seed=1)
TINY_TIMM = "test_vit.r160_in1k"
NEW = [name for name in NETWORKS if name.startswith(("dinov2", "clip", "convnext", "mae", "siglip"))]


def error(ours: Tensor | None, theirs: Tensor) -> float:
    assert ours is not None
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())


def as_pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


@pytest.fixture(scope="module")
def tiny_clip(weights: Path) -> Path:
    return weights / "tiny-clip.pth"


# --- timm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [TINY_TIMM, "test_convnext.r160_in1k", "resnet10t.c3_in1k", "test_vit3.r160_in1k"])
def test_timm_equals_the_network_and_its_transform(model: str, tmp_path: Path) -> None:
    network = timm.create_model(model).eval().requires_grad_(False)
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, tmp_path / "weights.pth")
    features = TimmExtractor(model, tmp_path / "weights.pth")(IMAGES)
    transform: Any = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
    pixels = torch.stack([transform(as_pil(image)) for image in IMAGES])
    assert error(features.pool, network.forward_head(network.forward_features(pixels), pre_logits=True)) < 1e-4
    assert error(features.logits, network(pixels)) < 1e-4


def test_names_of_their_own_are_timms_networks() -> None:
    known = timm.list_pretrained()
    assert all(model in known for model in NAMED.values())
    assert NAMED.keys() <= NETWORKS.keys()


@pytest.mark.parametrize(("name", "said"), [
    ("timm/resnet10t.c3_in1", "Did you mean 'resnet10t.c3_in1k'"),
    ("timm/resnet9999", "timm.list_pretrained()"),
    ("open_clip/ViT-B-33", "Did you mean"),
    ("open_clip/ViT-B-32/laion2b_s34b", "Did you mean 'laion2b_s34b_b79k'"),
    ("dinov2-vitl41", "Did you mean 'dinov2-vitl14'"),
])  # fmt: skip
def test_an_unknown_network_offers_the_nearest(name: str, said: str, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="(?s)" + said.replace("(", r"\(").replace(")", r"\)")):
        resolve(name, weights=tmp_path / "weights.pth")


# --- DINOv2 -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dinov2_file(weights: Path) -> Path:
    return write_dinov2(weights / "dinov2_vits14_pretrain.pth")


def as_transformers(state: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Return Meta's tensors by the names of transformers."""
    embeddings = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.mask_token": state["mask_token"].view(1, -1),
        "embeddings.position_embeddings": at_grid(state["pos_embed"]),
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
    }
    last = {f"layernorm.{kind}": state[f"norm.{kind}"] for kind in ("weight", "bias")}
    names = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.proj": "attention.output.dense",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    blocks: dict[str, Tensor] = {}
    for i in range(depth):
        ours, theirs = f"blocks.{i}.", f"encoder.layer.{i}."
        for scale in (1, 2):
            blocks[f"{theirs}layer_scale{scale}.lambda1"] = state[f"{ours}ls{scale}.gamma"]
        for kind in ("weight", "bias"):
            parts = state[f"{ours}attn.qkv.{kind}"].chunk(3)
            for part, name in zip(parts, ("query", "key", "value")):
                blocks[f"{theirs}attention.attention.{name}.{kind}"] = part
            blocks |= {f"{theirs}{n}.{kind}": state[f"{ours}{name}.{kind}"] for name, n in names.items()}
    return embeddings | last | blocks


def test_dinov2_equals_transformers_on_pillows_pixels(dinov2_file: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    state = torch.load(dinov2_file, weights_only=True)
    config = Dinov2Config(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=224)
    theirs = Dinov2Model(config).eval().requires_grad_(False)
    theirs.load_state_dict(as_transformers(state, depth=12))
    extractor = DINOv2("dinov2-vits14", dinov2_file)
    resized = [as_pil(image).resize((224, 56 * 4), Image.Resampling.BICUBIC) for image in IMAGES]
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (extractor.preprocess.mean, extractor.preprocess.std))
    transform: Any = image_transform(224, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    pixels = (torch.stack([transform(image) for image in resized]) - mean) / std
    assert error(extractor(IMAGES).pool, theirs(pixels).last_hidden_state[:, 0]) < 1e-4


def test_position_embeddings_are_interpolated_as_the_authors_do() -> None:
    """A grid of 16.1 over 37, without antialias; timm's own resampling is another."""
    embeddings = torch.randn(1, 1 + 37 * 37, 8, generator=torch.Generator().manual_seed(0))
    square = embeddings[:, 1:].reshape(1, 37, 37, 8).permute(0, 3, 1, 2)
    factor = (16 + 0.1) / 37
    expected = interpolate(square, scale_factor=(factor, factor), mode="bicubic").permute(0, 2, 3, 1).reshape(1, -1, 8)
    found = at_grid(embeddings)
    assert found[:, 1:].equal(expected)
    assert found[:, :1].equal(embeddings[:, :1])
    assert not torch.allclose(timm.layers.resample_abs_pos_embed(embeddings, [16, 16]), found, atol=1e-3)
    assert at_grid(found) is found


@pytest.mark.parametrize("size", ARCHITECTURES)
def test_published_names_are_those_of_the_network(size: str) -> None:
    """Of the largest as of the smallest: on the meta device, where nothing is computed."""
    with torch.device("meta"):
        network = timm.create_model(f"{ARCHITECTURES[size]}_patch14_dinov2", img_size=224)
        theirs = dict(network.state_dict())
        theirs = {
            n.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3") if size == "vitg14" else n: t
            for n, t in theirs.items()
        }
    assert {n: t.shape for n, t in as_timm({**theirs, "mask_token": torch.zeros(1)}).items()} == {
        n: t.shape for n, t in network.state_dict().items()
    }


def test_the_largest_gates_by_the_first_half_of_its_first_layer() -> None:
    """As the authors' SwiGLU: ``w3(silu(w1 x) * w2 x)``, of w1 and w2 in one."""
    sizes: dict[str, Any] = {"embed_dim": 12, "depth": 1, "num_heads": 2, "img_size": 28}
    mlp: Any = timm.create_model("vit_giant_patch14_dinov2", **sizes).get_submodule("blocks.0.mlp")
    tokens = torch.randn(2, 5, 12)
    first, second = mlp.fc1(tokens).chunk(2, dim=-1)
    assert mlp(tokens).allclose(mlp.fc2(silu(first) * second), atol=1e-6)


def test_edm2s_resize_is_another_protocol(dinov2_file: Path) -> None:
    dgm_eval, edm2 = (DINOv2("dinov2-vits14", dinov2_file, resize) for resize in ("pil-bicubic", "edm2-bicubic"))
    assert (dgm_eval.resize, edm2.resize) == ("pil-bicubic-224", "edm2-bicubic-224")
    assert dgm_eval.fingerprint != edm2.fingerprint
    assert 1e-6 < error(dgm_eval(IMAGES).pool, edm2(IMAGES).pool) < 0.1
    with pytest.raises(ValueError, match="Unknown resize of dinov2 'bicubic'"):
        DINOv2("dinov2-vits14", dinov2_file, "bicubic")


# --- CLIP -------------------------------------------------------------------------------------------------------------


def test_open_clip_equals_the_network_and_its_transform(tiny_clip: Path) -> None:
    network: Any = open_clip.create_model("tiny-clip", load_weights=False).eval().requires_grad_(False)
    network.load_state_dict(torch.load(tiny_clip, weights_only=True))
    transform: Any = image_transform(network.visual.image_size, is_train=False)
    pixels = torch.stack([transform(as_pil(image)) for image in IMAGES])
    extractor = OpenClipExtractor("tiny-clip", tiny_clip)
    assert extractor.tag == "open_clip_tiny_clip"
    captions = ["a red cat", "two dogs, one of them asleep"]
    features = extractor(IMAGES, captions)
    assert error(features.pool, network.encode_image(pixels)) < 1e-4
    assert error(features.text, network.encode_text(open_clip.get_tokenizer("tiny-clip")(captions))) < 1e-4
    assert extractor(IMAGES).column("text") is None


def test_r_precision_reads_images_and_their_captions(tiny_clip: Path) -> None:
    metric = GenerativeMetrics([RPrecision(candidates=4)], extractor=OpenClipExtractor("tiny-clip", tiny_clip))
    images, captions = draw_images(12, 40, 56, seed=2), [f"number {i}" for i in range(12)]
    for part, texts in ((images[:5], captions[:5]), (images[5:], captions[5:])):
        metric.update(part, real=True, captions=texts)
        metric.update(part, real=False, captions=texts)
    assert 0 <= metric.compute()["r_precision_open_clip_tiny_clip"] <= 1


@pytest.mark.filterwarnings("ignore:.torch.jit.s:FutureWarning", "ignore:.torch.jit.s:DeprecationWarning")
@pytest.mark.usefixtures("tiny_clip")
def test_clip_reads_the_published_program_and_equals_torch_fidelity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TorchScript file stands for OpenAI's: it is run only where its sha256 is the published one."""
    from hashlib import sha256

    from torch_fidelity.feature_extractor_clip import build_model

    network: Any = open_clip.create_model("tiny-clip", load_weights=False).half().float().eval()
    file = tmp_path / "ViT-tiny.pt"
    script: Any = torch.jit.script(Holder({**network.state_dict(), "input_resolution": torch.tensor(64)}))
    script.save(file)
    monkeypatch.setitem(
        PUBLISHED, "clip-vit-b32", Published("tiny-clip", "ViT-tiny", sha256(file.read_bytes()).hexdigest())
    )
    extractor = CLIP("clip-vit-b32", file)
    theirs = build_model(dict(network.state_dict()), torch.float32)
    assert error(extractor(IMAGES).pool, theirs.visual(extractor.preprocess(IMAGES))) < 1e-4
    monkeypatch.setitem(PUBLISHED, "clip-vit-b32", Published("tiny-clip", "ViT-tiny", "0" * 64))
    with pytest.raises(ValueError, match="expected names and tensors only"):
        CLIP("clip-vit-b32", file)


class Holder(torch.nn.Module):
    """Tensors by dotted names, as a TorchScript file holds them."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in state.items():
            *path, last = name.split(".")
            here: torch.nn.Module = self
            for part in path:
                if not hasattr(here, part):
                    here.add_module(part, Holder({}))
                here = getattr(here, part)
            here.register_buffer(last, tensor)

    def forward(self, images: Tensor) -> Tensor:
        return images


def test_cmmd_cuts_out_the_square_first(tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PUBLISHED, "clip-vit-l14-336", Published("tiny-clip", "-", "0" * 64, resize="cmmd"))
    cmmd, clip = CLIP("clip-vit-l14-336", tiny_clip), CLIP("clip-vit-l14-336", tiny_clip, "clip")
    assert (cmmd.resize, clip.resize) == ("pil-bicubic-square-64", "pil-bicubic-64-crop-64")
    assert cmmd.fingerprint != clip.fingerprint


def test_open_clip_wants_weights_and_leaves_the_log_alone(tiny_clip: Path) -> None:
    before = list(logging.getLogger().handlers), logging.getLogger().level
    OpenClipExtractor("tiny-clip", tiny_clip)
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
    with pytest.raises(ValueError, match="expected a training or weights=, for several were published"):
        resolve("open_clip/tiny-clip")


# Model, training, and name of the preprocessing, mean and file that open_clip gives it.
TRAININGS = [
    ("ViT-B-32", "laion2b_s34b_b79k", "pil-bicubic-224-crop-224", 0.48145466, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
    ("ViT-B-16-SigLIP2", "webli", "pil-bicubic-224", 0.5, "timm/ViT-B-16-SigLIP2"),
    ("MobileCLIP-B", "datacompdr", "pil-bilinear-224-crop-224", 0.0, None),
]


@pytest.mark.parametrize(("model", "training", "resize", "mean", "repository"), TRAININGS)
def test_a_training_says_how_images_are_prepared(
    model: str, training: str, resize: str, mean: float, repository: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device: the network is not small, and only its shapes are asked for."""
    given: list[str] = []

    def no_weights(source: object, **_: object) -> tuple[dict[str, Tensor], str]:
        given.append(str(source))
        return {}, "0" * 64

    def on_meta(make: Any, *_: object) -> Any:
        with torch.device("meta"):
            return make()

    monkeypatch.setattr(open_clip_network, "load_weights", no_weights)
    monkeypatch.setattr(open_clip_network, "frozen_network", on_meta)
    monkeypatch.setattr(open_clip, "create_model", partial(open_clip.create_model, device="meta"))
    extractor = resolve(f"open_clip/{model}/{training}")
    assert isinstance(extractor, OpenClipExtractor)
    assert (extractor.resize, extractor.preprocess.mean[0]) == (resize, mean)
    assert extractor.spec.num_features == open_clip.get_model_config(model)["embed_dim"]  # pyright: ignore[reportOptionalSubscript]
    if repository:
        assert given == [f"https://huggingface.co/{repository}/resolve/main/open_clip_model.safetensors"]


def test_every_training_is_prepared_in_a_known_way() -> None:
    for model, training in open_clip.list_pretrained():
        facts: Any = open_clip.get_pretrained_cfg(model, training)
        assert open_clip_network._prepare(facts).at(224).side == 224


def test_a_training_with_another_activation_is_refused(tiny_clip: Path) -> None:
    with pytest.raises(ValueError, match=r"expected an architecture with quick GELU.*ViT-B-32-quickgelu/openai"):
        OpenClipExtractor("ViT-B-32/openai", tiny_clip)


def test_trainings_that_differ_are_told_apart(tiny_clip: Path) -> None:
    with pytest.raises(ValueError, match=r"they prepare images in 2 ways, got none\. Remedy: open_clip/ViT-L-14/<tr"):
        OpenClipExtractor("ViT-L-14", tiny_clip)


def test_a_tokenizer_is_fetched_only_for_captions(tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(_: str) -> None:
        raise OSError("no network\nat all")

    monkeypatch.setattr(open_clip, "get_tokenizer", offline)
    extractor = OpenClipExtractor("tiny-clip", tiny_clip)
    assert extractor(IMAGES).pool is not None
    with pytest.raises(ConnectionError, match=r"tiny-clip: its tokenizer cannot be fetched .no network.\. Remedy: "):
        extractor(IMAGES, ["a", "b"])


def test_a_text_network_of_transformers_fetches_no_weights_of_its_own(tmp_path: Path) -> None:
    """Those of the file replace them anyway; only its configuration is read."""
    from transformers import BertConfig

    text = tmp_path / "text"
    BertConfig(40, 16, 1, 2, 24).save_pretrained(text)
    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16}
    told = {"hf_model_name": str(text), "hf_tokenizer_name": str(text), "hf_pooler_type": "mean_pooler"}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": told}
    (tmp_path / "tiny-bert-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-bert-clip.json")
    state = open_clip.create_model("tiny-bert-clip", load_weights=False, pretrained_text=False).state_dict()
    state["text.transformer.embeddings.position_ids"] = torch.arange(9)[None]  # of older files
    torch.save(state, tmp_path / "weights.pth")
    assert OpenClipExtractor("tiny-bert-clip", tmp_path / "weights.pth")(IMAGES).pool.shape == (2, 8)


# --- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dinov2-vits14", "clip-vit-b32", "mae-vit-l16", "timm/" + TINY_TIMM])
def test_weights_that_cannot_be_fetched_are_refused_in_a_line(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(url: str, *_: object, **__: object) -> None:
        assert url.startswith("https://")
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(
        ConnectionError, match=r"^weights: https://\S+ cannot be fetched .*Remedy: give weights= .--weights. the path"
    ):
        resolve(name)


@pytest.mark.parametrize(("name", "package"), [
    ("dinov2-vits14", "timm"),
    ("clip-vit-b32", "open_clip"),
    ("timm/" + TINY_TIMM, "timm"),
    ("open_clip/ViT-B-32", "open_clip"),
])  # fmt: skip
def test_a_missing_package_is_named_with_the_extra(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch, tiny_clip: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=r'its package is missing. Remedy: pip install "streaming-metrics\[networks\]"'
    ):
        resolve(name, weights=tiny_clip)


def test_one_name_in_the_hubs_folder_is_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hundreds of files on the hub are called ``model.safetensors``."""
    fetched: list[str] = []

    def download(_: str, path: str, *__: object, **___: object) -> None:
        fetched.append(path)
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for name in ("timm/" + TINY_TIMM, "timm/resnet10t.c3_in1k", "mae-vit-l16"):
        with pytest.raises(ConnectionError):
            resolve(name)
    assert len(set(fetched)) == 3


def test_names_and_tags_are_distinct() -> None:
    tags = [name.replace("-", "_") for name in NEW]
    assert len(set(tags)) == len(NEW) == 10
