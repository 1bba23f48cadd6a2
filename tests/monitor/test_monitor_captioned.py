"""Captioned metrics and path lengths of a monitor: torchmetrics' own, on the images and captions that are measured."""

# ruff: noqa: ARG001, ARG002, ARG005 (hooks and samplers have fixed arguments)

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import LightningModule, seed_everything
from test_captions_in import Encoder
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import Metric
from torchmetrics.functional.image import perceptual_path_length
from torchmetrics.image import PerceptualPathLength
from trainings import QUIET, REAL, TINY, Model, fit, loader, monitor, trainer

from streaming_metrics import FID, GenerativeMetrics, RPrecision, caption_hashes
from streaming_metrics.core.given_metrics import metrics_by_key
from streaming_metrics.images.captions import as_captions
from streaming_metrics.images.columns import as_column, refuse_missing
from streaming_metrics.measures.keys import scalar_of
from streaming_metrics.measures.torchmetrics_names import CAPTIONED, Named
from streaming_metrics.sampling import chunks, isolated_rng

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [*QUIET, TINY]

WORDS = [f"image {number} of {len(REAL)}" for number in range(len(REAL))]
ROWS: Any = [{"image": image, "text": words} for image, words in zip(REAL, WORDS)]


class Agreement(Metric):
    """How far an image's brightest pixel is from the number in its caption."""

    higher_is_better, full_state_update = False, False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "count"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, images: Tensor, captions: list[str]) -> None:
        assert images.dtype == torch.uint8
        assert isinstance(captions, list)
        assert len(captions) == len(images)
        self.total += _far(images, captions).sum()
        self.count += len(images)

    def compute(self) -> Tensor:
        return self.total / self.count


def _far(images: Tensor, captions: Any) -> Tensor:
    numbers = torch.tensor([float(words.split()[1]) for words in captions])
    return (images.flatten(1).float().mean(1) - numbers).abs()


class Captioner(Model):
    """Mirrors the images of a batch in its validation step."""

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return {"fake": batch["image"] // 2, "pair": (batch["image"] // 2, {"captions": batch["text"]})}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.sample(2).mean()


def draws(model: LightningModule, n: int) -> Any:
    return REAL[:n], {"captions": WORDS[:n]}


def of_batch(model: LightningModule, n: int, batch: Any) -> Tensor:
    return batch["image"] // 2


def rows(count: int = len(ROWS), **options: Any) -> DataLoader[Any]:
    return DataLoader(ROWS[:count], batch_size=4, **options)


def watching(**options: Any) -> Any:
    return monitor([FID()], **{"captioned": [Agreement()], "num_samples": len(REAL), "batch_size": 8, **options})


def run(callback: Any, real: Any = None, model: Any = None, **options: Any) -> dict[str, float]:
    seed_everything(0, verbose=False)
    real = rows() if real is None else real
    return dict(trainer(callback, **options).validate(model or Captioner(), real, verbose=False)[0])


# --- captions ---------------------------------------------------------------------------------------------------------


def test_captions_come_with_the_samplers_images() -> None:
    got = run(watching(sample=draws), loader(), Model())
    parts = [(REAL[: chunk.size], WORDS[: chunk.size]) for chunk in chunks(len(REAL), 8)]
    assert got["val/agreement"] == pytest.approx(torch.cat([_far(*part) for part in parts]).mean().item(), rel=1e-5)


@pytest.mark.parametrize("fake", [{"fake_key": "fake"}, {"sample": of_batch}])
def test_captions_of_batches_reach_measures_too(fake: dict[str, Any]) -> None:
    callback = monitor([FID(captions=True)], caption_key="text", num_samples=len(REAL), **fake)
    run(callback)
    metric = callback.metric
    alone = GenerativeMetrics([FID(captions=True)], metric.extractor)
    alone.update(REAL, real=True, captions=WORDS)
    alone.update(REAL // 2, real=False, captions=WORDS)
    assert callback.metric.signature() == (alone.compute(), alone.signature())[1]
    assert "|captions:" in metric.signature()


@pytest.mark.parametrize("fake", [{"fake_key": "fake"}, {"sample": of_batch}, {"fake_key": "pair"}])
def test_captions_of_batches_reach_networks_as_texts(fake: dict[str, Any]) -> None:
    measures, encoder = [RPrecision(candidates=2, most=20)], Encoder()
    callback = monitor(measures, extractor=encoder, caption_key="text", num_samples=len(REAL), **fake)
    got = run(callback)
    alone = GenerativeMetrics(measures, Encoder())
    alone.update(REAL, real=True, captions=WORDS)
    alone.update(REAL // 2, real=False, captions=WORDS)
    assert got["val/r_precision_encoder"] == pytest.approx(alone.compute()["r_precision_encoder"].item())
    assert {words for texts in encoder.read for words in texts or ()} == set(WORDS)


@pytest.mark.parametrize(
    "options",
    [
        {"fake_key": "fake", "caption_key": "text"},
        {"fake_key": "fake", "caption_key": lambda batch: tuple(batch["text"])},
        {"fake_key": "pair"},
        {"sample": of_batch, "caption_key": "text"},
    ],
)
@pytest.mark.usefixtures("forks")
def test_captions_come_from_the_batch_or_the_step_on_any_number_of_ranks(options: dict[str, Any]) -> None:
    expected = _far(REAL[:11] // 2, WORDS[:11]).mean().item()
    common = {"image_key": "image", "num_samples": 11, **options}
    assert run(watching(**common), rows(11))["val/agreement"] == pytest.approx(expected, rel=1e-5)
    got = run(watching(**common), rows(11), devices=2, strategy="ddp_fork")
    assert got["val/agreement"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": lambda model, n: REAL[:n]}, "captioned=: expected captions beside the generated images"),
        ({"sample": draws, "caption_key": "text"}, "caption_key=: expected generated images that belong"),
        ({"fake_key": "fake", "caption_key": "words"}, "caption_key='words': Expected captions.*keys 'image', 'text'"),
        ({"fake_key": "fake", "caption_key": "image"}, "caption_key='image': Expected captions, 4 texts, got a tensor"),
        ({"sample": lambda model, n: (REAL[:n], {"captions": WORDS[:1]})}, "Expected captions, 8 texts.*got 1"),
    ],
)
def test_missing_captions_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        run(watching(image_key="image", **options))


def test_texts_of_a_batch_never_stand_for_the_hashes_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that says by hashes which captions its images belong to did not take the batch's."""

    def step(model: Captioner, batch: Any, batch_idx: int) -> Any:
        return {"pair": (batch["image"] // 2, {"captions": caption_hashes(f"other {w}" for w in batch["text"])})}

    monkeypatch.setattr(Captioner, "validation_step", step)
    options: Any = {"fake_key": "pair", "caption_key": "text", "image_key": "image", "num_samples": len(REAL)}
    with pytest.raises(ValueError, match="captioned=: expected captions beside the generated images"):
        run(watching(**options))
    with pytest.raises(ValueError, match="texts and not their hashes"):
        run(monitor([RPrecision(candidates=2, most=20)], extractor=Encoder(), **options))


def test_one_text_is_no_list_of_captions() -> None:
    assert as_captions(("a", "b"), 2, "sample") == ("a", "b")
    with pytest.raises(TypeError, match="a list of str"):
        as_captions("ab", 2, "sample")


def test_captions_that_a_measure_misses_are_texts() -> None:
    with pytest.raises(ValueError, match=r'\{"captions": captions\}\), one text an image'):
        refuse_missing({}, ["captions"], "sample")
    with pytest.raises(ValueError, match="one integer an image"):
        refuse_missing({}, ["labels"], "sample")


def test_a_long_list_of_the_wrong_kind_is_told_in_a_line() -> None:
    with pytest.raises(TypeError, match=r"got a list of (str, ){8}…\."):
        as_column(["shoe"] * 64, 64, "Expected labels")


def test_a_class_that_torchmetrics_leaves_out_is_told_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scalar = CAPTIONED["clip-score"].scalar
    monkeypatch.setitem(CAPTIONED, "clip-score", Named("torchmetrics.multimodal:Absent", scalar))
    with pytest.raises(ImportError, match=r"captioned: 'clip-score' is Absent.*streaming-metrics\[captions\]"):
        metrics_by_key(["clip-score"], CAPTIONED, "captioned")


# --- CLIP score -------------------------------------------------------------------------------------------------------


def has_tensors_of_five() -> bool:
    """Return whether torchmetrics knows what CLIP of transformers 5 returns."""
    from torchmetrics.functional.multimodal import clip_score

    return "pooler_output" in inspect.getsource(clip_score)


def tiny_clip(folder: Path) -> Any:
    """Return a random CLIP of two layers, with a processor whose vocabulary is single letters."""
    transformers = pytest.importorskip("transformers", reason="CLIPScore needs transformers, which is not installed")
    if int(transformers.__version__.split(".")[0]) >= 5 and not has_tensors_of_five():
        pytest.skip("this torchmetrics reads tensors of CLIP, and transformers 5 returns objects")
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1, "pad_token_id": 0}
    config = transformers.CLIPConfig(
        text_config={**sizes, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": 32},
        vision_config={**sizes, "image_size": 8, "patch_size": 4},
        projection_dim=8,
    )
    with isolated_rng(0):
        model = transformers.CLIPModel(config).eval()
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    return model, transformers.CLIPProcessor(images, tokenizer)


def test_clip_score_of_a_random_network(tmp_path: Path) -> None:
    model, processor = tiny_clip(tmp_path)
    from torchmetrics.multimodal import CLIPScore

    score = CLIPScore(model_name_or_path=lambda: (model, processor))
    callback = watching(captioned=[score], sample=draws)
    assert callback.keys[-1] == "val/clip_score"
    got = run(callback, loader(), Model())
    oracle = CLIPScore(model_name_or_path=lambda: (model, processor))
    for chunk in chunks(len(REAL), 8):
        oracle.update(REAL[: chunk.size], WORDS[: chunk.size])
    assert got["val/clip_score"] == pytest.approx(oracle.compute().item(), rel=1e-4)
    assert scalar_of("val/clip_score").better == "higher"


# --- LPIPS ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def random_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of torchvision with random weights, as theirs are not here; LPIPS' own layers come with torchmetrics."""
    from torchmetrics.functional.image import lpips

    load = lpips._get_tv_model_features

    def random(net: str, pretrained: bool = False) -> Any:
        with isolated_rng(0):
            return load(net, pretrained=False)

    monkeypatch.setattr(lpips, "_get_tv_model_features", random)


@pytest.mark.usefixtures("random_backbones", "forks")
def test_lpips_by_name() -> None:
    """Its scores are a list, of an element a batch: torchmetrics' own synchronisation hangs on uneven ranks."""
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as lpips

    def run_on(**options: Any) -> float:
        callback = monitor([FID()], paired="lpips", fake_key="reconstruction", num_samples=1)
        return run(callback, loader(big, batch_size=1), Model(), **options)["val/lpips"]

    big = REAL[:9].repeat_interleave(8, -1).repeat_interleave(8, -2)
    expected = lpips(big.flip(-1) / 255, big / 255, normalize=True).item()
    assert expected > 0
    assert run_on() == pytest.approx(expected, rel=1e-4)
    assert run_on(devices=2, strategy="ddp_fork") == pytest.approx(expected, rel=1e-4)


def test_weights_that_cannot_be_had_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> Any:
        raise OSError("Name or service not known")

    monkeypatch.setattr("torchmetrics.functional.image.lpips._get_tv_model_features", offline)
    with pytest.raises(OSError, match=r"paired: 'lpips' looks through a network whose weights are not here.*Remedy"):
        monitor([FID()], paired=["lpips"], fake_key="reconstruction")


# --- path length ------------------------------------------------------------------------------------------------------


class Generator(nn.Module):
    """Images in [−1, 1] of latents, with noise and batch statistics that a walk must not leave a trace in."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer = nn.BatchNorm1d(4), nn.Linear(4, 3 * 8 * 8)

    def sample(self, n: int) -> Tensor:
        return torch.randn(n, 4)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        shift = 0 if labels is None else labels.view(-1, 1, 1, 1) / 10
        return self.layer(self.norm(latents)).tanh().view(-1, 3, 8, 8) - shift


class Distance(nn.Module):
    """Squared distance of images in [−1, 1]."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        assert first.dtype == second.dtype == torch.float32
        return (first - second).square().mean((1, 2, 3))


class GAN(Model):
    def __init__(self) -> None:
        super().__init__()
        with isolated_rng(3):
            self.gan = nn.ModuleDict({"generator": Generator()})

    def sample(self, n: int) -> Tensor:
        return self.gan["generator"](self.gan["generator"].sample(n))


def path_length(**options: Any) -> PerceptualPathLength:
    return PerceptualPathLength(num_samples=200, sim_net=Distance(), epsilon=1e-3, **options)


def walking(**options: Any) -> Any:
    common = {"through": [path_length()], "generator": "gan.generator", "value_range": (-1, 1), "num_samples": 20}
    return monitor([FID()], **{**common, **options})


def expected_length(conditional: bool = False) -> float:
    class InBytes(nn.Module):
        num_classes = 3

        def __init__(self, inner: Generator) -> None:
            super().__init__()
            self.inner = inner

        def sample(self, n: int) -> Tensor:
            return self.inner.sample(n)

        def forward(self, *latents: Tensor) -> Tensor:
            return (self.inner(*latents) + 1) * 127.5

    options = {"num_samples": 200, "sim_net": Distance(), "epsilon": 1e-3, "conditional": conditional}
    generator = InBytes(GAN().gan["generator"]).eval()
    with isolated_rng(0):
        return perceptual_path_length(generator, **options)[0].item()  # pyright: ignore


@pytest.mark.parametrize("conditional", [False, True])
def test_path_length_is_torchmetrics(conditional: bool) -> None:
    callback = walking(through=[path_length(conditional=conditional)])
    assert callback.keys == ("val/fd_pixels", "val/ppl")
    got = run(callback, loader(), GAN())
    assert got["val/ppl"] == pytest.approx(expected_length(conditional), rel=1e-4)
    assert scalar_of("val/ppl").better == "lower"


@pytest.mark.usefixtures("forks")
def test_path_length_does_not_depend_on_ranks_and_precision() -> None:
    alone = run(walking(), loader(), GAN())["val/ppl"]
    assert run(walking(), loader(), GAN(), devices=2, strategy="ddp_fork")["val/ppl"] == pytest.approx(alone, rel=1e-5)
    assert run(walking(), loader(), GAN(), precision="bf16-mixed")["val/ppl"] == pytest.approx(alone, rel=1e-5)


def test_a_walk_leaves_the_model_as_it_was_and_lets_go_of_it() -> None:
    def weights(**options: Any) -> Tensor:
        seed_everything(0, verbose=False)
        model, callback = GAN(), walking(**options)
        fit(callback, model=model, num_sanity_val_steps=1)
        assert [module for module in model.modules() if isinstance(module, Metric)] == []
        held = [part for part in callback._measurement.beside.through.metrics.values() for part in part.modules()]
        assert not [part for part in held if isinstance(part, Generator)]
        return torch.cat([tensor.flatten().float() for tensor in model.state_dict().values()])

    assert torch.equal(weights(), weights(through=None, generator=None))


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ("gan.maker", "generator='gan.maker': Expected a part of GAN with sample"),
        ("layer", "Expected a part of GAN with sample.*got a Sequential"),
        (lambda model: model, "generator: Expected 2 latents"),
    ],
)
def test_a_generator_that_is_none_is_told_before_the_training(generator: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(walking(generator=generator), model=GAN())


def test_rounded_images_are_refused() -> None:
    class Rounded(Generator):
        def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
            return (super().forward(latents) * 127.5 + 127.5).to(torch.uint8)

    with pytest.raises(ValueError, match=r"Expected float images \(2, 3, H, W\) of latents, got a tensor.*uint8"):
        fit(walking(generator=lambda model: Rounded()), model=GAN())
