"""Networks of clips: what each protocol does to frames, the networks behind it, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import math
import pickle
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, layer_norm, linear
from video_networks import FRAMES, TinyI3D, draw_clips, seeded, write_i3d, write_script, write_videomae, write_vjepa

from streaming_metrics import FID, FVD, GenerativeMetrics, JEDi
from streaming_metrics.extractors import i3d as i3d_module
from streaming_metrics.extractors import resolve, videomae_v2
from streaming_metrics.extractors.clips import cropped, stretched
from streaming_metrics.extractors.i3d import I3D
from streaming_metrics.extractors.video_folders import VJEPA, VideoMAE
from streaming_metrics.extractors.videomae_v2 import VideoMAEv2
from streaming_metrics.images.window import Window

if TYPE_CHECKING:
    from pathlib import Path

    from streaming_metrics.extractors import Extractor

CLIPS = draw_clips(3, 16, 40, 60, seed=1)
WIDTH, DEPTH, HEADS, LABELS, PATCH = 12, 2, 2, 5, 56


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("video")
    write_i3d(made / "i3d.pt")
    for head in (False, True):
        write_videomae(made / f"Mae-{head}", head)
        write_vjepa(made / f"Jepa.{head}", head)
    torch.save({"module": draw_checkpoint()}, made / "g.pth")
    return made


NETWORKS: dict[str, Any] = {
    "i3d": lambda folder: resolve("i3d", weights=folder / "i3d.pt"),
    "i3d-videogpt": lambda folder: resolve("i3d-videogpt", weights=folder / "i3d.pt"),
    "videomae-v2": lambda folder: VideoMAEv2(folder / "g.pth", heads=HEADS),
    "videomae": lambda folder: resolve(f"videomae/{folder / 'Mae-False'}"),
    "videomae with a head": lambda folder: VideoMAE(folder / "Mae-True"),
    "vjepa": lambda folder: resolve(f"vjepa/{folder / 'Jepa.False'}"),
    "vjepa with a head": lambda folder: VJEPA(folder / "Jepa.True"),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, folder: Path) -> Extractor:
    return NETWORKS[request.param](folder)


def close(ours: Tensor | None, theirs: Tensor) -> bool:
    assert ours is not None
    assert ours.shape == theirs.shape
    return float((ours - theirs.detach()).norm() / theirs.detach().norm()) < 1e-5


# --- what protocols do to frames --------------------------------------------------------------------------------------


def of_styleganv(clip: Tensor) -> Tensor:
    """Return one clip (T, 3, H, W) in [0, 1] as its definition has it, (3, T, 224, 224) in [-1, 1]."""
    height, width = clip.shape[-2:]
    scale = 224 / min(height, width)
    size = (224, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), 224)
    video = interpolate(clip.transpose(0, 1), size=size, mode="bilinear", align_corners=False)
    top, left = (video.shape[2] - 224) // 2, (video.shape[3] - 224) // 2
    return (video[:, :, top : top + 224, left : left + 224] - 0.5) * 2


@pytest.mark.parametrize("protocol", ["styleganv", "videogpt"])
@pytest.mark.parametrize("size", [(40, 60), (64, 32), (100, 100), (256, 300)], ids=str)
def test_i3d_is_called_as_its_protocol_says(protocol: str, size: tuple[int, int], folder: Path) -> None:
    clips = draw_clips(2, 12, *size, seed=2)
    floats = clips.float() / 255
    if protocol == "videogpt":
        floats = torch.from_numpy((floats * 255).numpy().astype(np.uint8)).float() / 255
    inputs = torch.stack([of_styleganv(clip) for clip in floats])
    theirs = seeded(TinyI3D)(inputs, rescale=False, resize=False, return_features=True)
    assert close(I3D(protocol, folder / "i3d.pt", frames=12)(clips).pool, theirs)


def test_frames_are_stretched_for_cd_fvd() -> None:
    theirs = [interpolate(c.float() / 255, size=(224, 224), mode="bilinear", align_corners=False) for c in CLIPS]
    assert torch.equal(stretched(CLIPS), torch.stack(theirs).transpose(1, 2))


def test_frames_of_the_right_size_stay_as_they_are() -> None:
    clips = draw_clips(1, 2, 224, 224, seed=3)
    assert torch.equal(cropped(clips), (clips.float() / 255).transpose(1, 2))
    assert torch.equal(stretched(clips), cropped(clips))


# --- the networks -----------------------------------------------------------------------------------------------------


def draw_checkpoint() -> dict[str, Tensor]:
    """Draw tensors by the names that the authors' checkpoint of VideoMAE v2 has."""
    generator, inner = torch.Generator().manual_seed(0), 20

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / math.sqrt(shape[-1])

    state = {"patch_embed.proj.weight": draw(WIDTH, 3, 2, PATCH, PATCH) / 100, "patch_embed.proj.bias": draw(WIDTH)}
    for i in range(DEPTH):
        layer = {"attn.q_bias": draw(WIDTH), "attn.v_bias": draw(WIDTH), "attn.qkv.weight": draw(3 * WIDTH, WIDTH)}
        layer |= {"attn.proj.weight": draw(WIDTH, WIDTH), "attn.proj.bias": draw(WIDTH)}
        layer |= {"mlp.fc1.weight": draw(inner, WIDTH), "mlp.fc1.bias": draw(inner)}
        layer |= {"mlp.fc2.weight": draw(WIDTH, inner), "mlp.fc2.bias": draw(WIDTH)}
        layer |= {f"norm{k}.{part}": 1 + draw(WIDTH) for k in (1, 2) for part in ("weight", "bias")}
        state |= {f"blocks.{i}.{name}": tensor for name, tensor in layer.items()}
    state |= {"fc_norm.weight": 1 + draw(WIDTH), "fc_norm.bias": draw(WIDTH)}
    return state | {"head.weight": draw(LABELS, WIDTH), "head.bias": draw(LABELS)}


def of_definition(state: dict[str, Tensor], clips: Tensor) -> Tensor:
    """Return what a ViT of tubes gives: tokens, sines of their places, pre-norm blocks, the normalised mean."""
    x = nn.functional.conv3d(clips, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], (2, PATCH, PATCH))
    x = x.flatten(2).transpose(1, 2)
    place, unit = torch.arange(x.shape[1]).double()[:, None], torch.arange(WIDTH)
    angle = place / 10000 ** (2 * (unit // 2) / WIDTH).double()
    x = x + torch.where(unit % 2 == 0, angle.sin(), angle.cos()).float()
    for i in range(DEPTH):
        s = {name.removeprefix(f"blocks.{i}."): t for name, t in state.items() if name.startswith(f"blocks.{i}.")}
        y = layer_norm(x, (WIDTH,), s["norm1.weight"], s["norm1.bias"], 1e-6)
        bias = torch.cat([s["attn.q_bias"], torch.zeros(WIDTH), s["attn.v_bias"]])
        q, k, v = linear(y, s["attn.qkv.weight"], bias).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        y = (q @ k.transpose(-2, -1) / math.sqrt(WIDTH / HEADS)).softmax(-1) @ v
        x = x + linear(y.transpose(1, 2).flatten(2), s["attn.proj.weight"], s["attn.proj.bias"])
        y = layer_norm(x, (WIDTH,), s["norm2.weight"], s["norm2.bias"], 1e-6)
        y = nn.functional.gelu(linear(y, s["mlp.fc1.weight"], s["mlp.fc1.bias"]))
        x = x + linear(y, s["mlp.fc2.weight"], s["mlp.fc2.bias"])
    return layer_norm(x.mean(1), (WIDTH,), state["fc_norm.weight"], state["fc_norm.bias"], 1e-6)


def test_videomae_v2_equals_its_definition(folder: Path) -> None:
    extractor, state = VideoMAEv2(folder / "g.pth", heads=HEADS), draw_checkpoint()
    assert extractor.network.fc_norm.eps == 1e-6
    features = extractor(CLIPS)
    pool = of_definition(state, stretched(CLIPS))
    assert close(features.pool, pool)
    assert close(features.logits, linear(pool, state["head.weight"], state["head.bias"]))


def test_the_published_videomae_v2_has_the_names_that_are_renamed() -> None:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    with torch.device("meta"):  # two layers of ViT-g
        settings = VideoMAEConfig(
            patch_size=14,
            num_frames=2,
            hidden_size=1408,
            num_hidden_layers=2,
            num_attention_heads=16,
            intermediate_size=6144,
        )
        expected = VideoMAEForVideoClassification(settings).state_dict()
    blank = {name: torch.empty(3, 1, device="meta") for name in draw_checkpoint()}
    assert videomae_v2.renamed(blank).keys() == expected.keys()


def test_videomae_equals_transformers(folder: Path) -> None:
    from transformers import VideoMAEForVideoClassification, VideoMAEImageProcessor, VideoMAEModel

    videos = [list(clip[:FRAMES].permute(0, 2, 3, 1).numpy()) for clip in CLIPS]
    for head in (False, True):
        path = folder / f"Mae-{head}"
        inputs = VideoMAEImageProcessor.from_pretrained(path)(videos, return_tensors="pt")
        ours = VideoMAE(path)(CLIPS)
        if head:
            assert close(ours.logits, VideoMAEForVideoClassification.from_pretrained(path)(**inputs).logits)
        else:
            assert close(ours.pool, VideoMAEModel.from_pretrained(path)(**inputs).last_hidden_state.mean(1))


def test_vjepa_equals_transformers(folder: Path) -> None:
    from transformers import VJEPA2ForVideoClassification, VJEPA2Model, VJEPA2VideoProcessor

    for head in (False, True):
        path = folder / f"Jepa.{head}"
        processor: Any = VJEPA2VideoProcessor.from_pretrained(path)
        inputs = processor([clip[:FRAMES] for clip in CLIPS], return_tensors="pt")
        ours = VJEPA(path)(CLIPS)
        if head:
            assert close(ours.logits, VJEPA2ForVideoClassification.from_pretrained(path)(**inputs).logits)
        else:
            tokens = VJEPA2Model.from_pretrained(path).encoder(inputs["pixel_values_videos"]).last_hidden_state
            assert close(ours.pool, tokens.mean(1))


# --- all alike --------------------------------------------------------------------------------------------------------


def test_each_says_what_it_is(network: Extractor) -> None:
    assert network.takes == "clips"
    assert network.window is not None
    assert network.window.name in network.fingerprint
    assert network.tag == network.tag.lower().replace("-", "_").replace("/", "_").replace(".", "_")
    features = network(CLIPS)
    assert features.pool is not None
    assert features.pool.shape == (3, network.spec.num_features)
    assert features.pool.dtype == torch.float32
    assert (features.logits is None) == (network.spec.num_classes is None)
    assert not network.published


def test_neither_batches_nor_casts_nor_pickles_change_it(network: Extractor) -> None:
    whole = network(CLIPS).pool
    parts = torch.cat([network(some).pool for some in CLIPS.split(1)])
    assert torch.allclose(parts, whole, rtol=1e-5, atol=1e-5)
    nn.ModuleList([network]).half().train()
    assert torch.equal(network(CLIPS).pool, whole)
    again = pickle.loads(pickle.dumps(network))
    assert torch.equal(again(CLIPS).pool, whole)
    assert again.fingerprint == network.fingerprint
    assert copy.deepcopy(network) is network


def test_frames_beyond_the_window_do_not_matter(network: Extractor) -> None:
    window = network.window
    assert window is not None
    assert torch.equal(network(CLIPS[:, : window.span]).pool, network(CLIPS).pool)


def test_too_few_frames_are_one_clear_error(network: Extractor) -> None:
    with pytest.raises(ValueError, match=r"Expected clips of at least \d+ frames \(.*f\), got \(3, 2, 3, 40, 60\)"):
        network(CLIPS[:, :2])


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (CLIPS[:, 0], r"Expected clips \(N, T, 3, H, W\), got \(3, 3, 40, 60\). Remedy: clips.unsqueeze\(0\)"),
        (CLIPS.transpose(1, 2), r"Remedy: clips.transpose\(1, 2\), frames before channels"),
        (CLIPS.movedim(2, -1), r"Remedy: clips.permute\(0, 1, 4, 2, 3\)"),
        (CLIPS[:, :, :1], r"Remedy: clips.expand\(-1, -1, 3, -1, -1\)"),
        (CLIPS[:0], "Remedy: give at least one RGB clip"),
        (CLIPS.float(), "Expected uint8 clips"),
    ],
)
def test_refuses_other_clips(folder: Path, clips: Tensor, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        NETWORKS["i3d"](folder)(clips)


def test_an_image_network_says_what_clips_are() -> None:
    with pytest.raises(ValueError, match=r"Expected images .* Remedy: images.flatten\(0, 1\), frames as images"):
        resolve("low-level")(CLIPS)


# --- windows ----------------------------------------------------------------------------------------------------------


def test_frames_stride_and_rate_are_in_the_fingerprint(folder: Path) -> None:
    made = [{}, {"frames": 12}, {"stride": 2, "frames": 10}, {"fps": 8}, {"fps": 12.5}]
    resizes = [I3D(weights=folder / "i3d.pt", **options).resize.removeprefix("styleganv-224-") for options in made]
    assert resizes == ["16f", "12f", "10f-stride2", "16f-8fps", "16f-12.5fps"]
    assert I3D("videogpt", folder / "i3d.pt").fingerprint.startswith("i3d-videogpt-")


def test_rates_that_differ_in_a_late_digit_are_other_windows() -> None:
    assert Window(16, fps=23.976).name == "16f-23.976fps" != Window(16, fps=24000 / 1001).name
    assert Window(16, fps=24).name == Window(16, fps=24.0).name == "16f-24fps"


def test_heads_that_no_tensor_tells_are_in_the_fingerprint(folder: Path) -> None:
    two, three = (VideoMAEv2(folder / "g.pth", heads=heads) for heads in (2, 3))
    assert not torch.equal(two(CLIPS).columns()["pool"], three(CLIPS).columns()["pool"])
    assert two.fingerprint != three.fingerprint
    assert two.label.endswith("-2-heads")


def test_a_stride_takes_every_such_frame() -> None:
    assert torch.equal(Window(3, stride=5).of(CLIPS), CLIPS[:, [0, 5, 10]])
    with pytest.raises(ValueError, match="at least 21 frames"):
        Window(5, stride=5).of(CLIPS)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"frames": 0}, ValueError, "frames: expected at least 1"),
        ({"frames": 2.5}, TypeError, "frames: expected an integer"),
        ({"frames": 4, "stride": 0}, ValueError, "stride: expected at least 1"),
        ({"frames": 4, "fps": 0}, ValueError, "fps: expected a number greater than 0"),
        ({"frames": 4, "fps": "24"}, TypeError, "fps: expected a number"),
    ],
)
def test_a_window_that_is_none_is_refused(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Window(**options)


# --- loading ----------------------------------------------------------------------------------------------------------


def test_an_address_needs_the_published_sha256_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = (folder / "i3d.pt").read_bytes()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("a file of unknown digits was run"))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "i3d_torchscript.pt").write_bytes(content)
    for weights in (None, "https://example.org/other/i3d_torchscript.pt"):
        with pytest.raises(ValueError, match=f"expected sha256 {i3d_module.SHA256}, got .*; it was not read"):
            I3D(weights=weights)


def test_an_address_with_the_published_sha256_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = (folder / "i3d.pt").read_bytes()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(i3d_module, "SHA256", hashlib.sha256(content).hexdigest())
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "i3d_torchscript.pt").write_bytes(content)
    assert torch.equal(I3D()(CLIPS).pool, I3D(weights=folder / "i3d.pt")(CLIPS).pool)


def test_what_is_no_such_script_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "damaged.pt").write_bytes((folder / "i3d.pt").read_bytes()[:-200])
    with pytest.raises(ValueError, match="expected TorchScript"):
        I3D(weights=tmp_path / "damaged.pt")
    write_script(nn.Flatten(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="expected a network that is called with rescale, resize, return_features"):
        I3D(weights=tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "stylegan"}, "Unknown protocol of i3d 'stylegan'. Did you mean 'styleganv'"),
        ({"frames": 9}, "frames: expected at least 10"),
        ({"precision": "bf16"}, "expected 'fp32' or 'tf32' of a TorchScript network"),
    ],
)
def test_i3d_refuses_what_it_cannot_do(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        I3D(weights=folder / "i3d.pt", **options)


def test_a_folder_lacks_nothing_silently(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(FileNotFoundError, match=r"expected a local folder with config\.json"):
        VideoMAE(tmp_path)
    with pytest.raises(ValueError, match="expected a network of model_type 'vjepa2', got 'videomae'"):
        VJEPA(folder / "Mae-False")
    cut = write_videomae(tmp_path / "cut")
    (cut / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match="expected the configuration of a VideoMAEImageProcessor"):
        VideoMAE(cut)
    state = load_file(cut / "model.safetensors")
    state.pop(sorted(state)[3])
    save_file(state, cut / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="expected all tensors of VideoMAEModel"):
        VideoMAE(cut)


@pytest.mark.parametrize("name", ["videomae-v2", "videomae", "vjepa"])
def test_without_transformers_it_says_what_to_install(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=rf'{name}: its package is missing. Remedy: pip install "streaming-metrics'):
        NETWORKS[name](folder)


def test_frames_that_a_network_has_no_place_for_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=f"frames: expected {FRAMES}, which videomae/Mae-False has places for"):
        VideoMAE(folder / "Mae-False", frames=8)
    with pytest.raises(ValueError, match="frames: expected a multiple of 2"):
        VJEPA(folder / "Jepa.False", frames=3)
    assert VJEPA(folder / "Jepa.False", frames=8).resize.endswith("-8f")


def test_the_fingerprint_of_a_folder_is_of_its_weights_configuration_and_processor(
    folder: Path, tmp_path: Path
) -> None:
    same = write_videomae(tmp_path / "Mae-False")
    assert VideoMAE(same).fingerprint == VideoMAE(folder / "Mae-False").fingerprint
    processor = (same / "preprocessor_config.json").read_text()
    (same / "preprocessor_config.json").write_text(processor.replace("0.5", "0.25", 1))
    assert VideoMAE(same).fingerprint != VideoMAE(folder / "Mae-False").fingerprint
    assert VideoMAE(folder / "Mae-True").weights_id != VideoMAE(folder / "Mae-False").weights_id


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"model": nn.Linear(2, 2).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="expected the tensors of videomae-v2, got others"):
        VideoMAEv2(tmp_path / "other.pth")


# --- in a metric ------------------------------------------------------------------------------------------------------


def test_a_measure_names_the_network_of_its_protocol(folder: Path) -> None:
    i3d, stranger = I3D(weights=folder / "i3d.pt"), VJEPA(folder / "Jepa.False")
    assert GenerativeMetrics([FVD(), JEDi()], i3d).keys == ("fvd_i3d", "jedi_i3d")
    for measure, network in ((FVD("videogpt"), i3d), (FVD("cd-fvd"), stranger)):
        networks = {"mine": network}
        with pytest.raises(ValueError, match=r"FVD\(protocol=.*\): expected its network, .*, got "):
            GenerativeMetrics([type(measure)(measure.protocol, on="mine")], networks)
    with pytest.raises(ValueError, match="jedi: expected a network of clips, got low-level"):
        GenerativeMetrics([JEDi()], "low-level")


def test_protocols_have_keys_and_signatures_of_their_own(folder: Path) -> None:
    metrics = [
        GenerativeMetrics([FVD(protocol)], NETWORKS[name](folder))
        for protocol, name in (("styleganv", "i3d"), ("videogpt", "i3d-videogpt"), ("cd-fvd", "videomae-v2"))
    ]
    assert [metric.keys for metric in metrics] == [("fvd_i3d",), ("fvd_i3d_videogpt",), ("fvd_videomae_v2",)]
    assert len({metric.signature() for metric in metrics}) == 3
    assert [metric.signature().partition("resize:")[2].partition("|")[0] for metric in metrics] == [
        "styleganv-224-16f",
        "videogpt-224-16f",
        "cd-fvd-224-16f",
    ]


def test_images_and_clips_do_not_mix(folder: Path) -> None:
    with pytest.raises(ValueError, match="networks that all take images, or all take clips, got low-level of images"):
        GenerativeMetrics([FID()], {"a": "low-level", "b": I3D(weights=folder / "i3d.pt")})
    with pytest.raises(ValueError, match="got low-level of images and i3d of clips"):
        GenerativeMetrics([FVD()], "low-level")  # and not that its weights cannot be fetched
    with pytest.raises(ValueError, match="got i3d of clips and low-level of images"):
        GenerativeMetrics("fid,low_level", I3D(weights=folder / "i3d.pt"))


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
def test_clips_of_all_kinds_go_into_one_metric(folder: Path) -> None:
    clips, more = draw_clips(6, 16, 40, 60, seed=4), draw_clips(6, 16, 40, 60, seed=5)
    values = []
    for scale, value_range in ((255, None), (1, (0, 1))):
        metric = GenerativeMetrics([FVD(), JEDi(), FID()], I3D(weights=folder / "i3d.pt"), value_range=value_range)
        for some in (more if scale == 255 else more.float() / 255).split(4):
            metric.update(some, real=False)
        metric.update(clips if scale == 255 else clips.float() / 255, real=True)
        values.append({key: value.item() for key, value in metric.compute().items()})
        with pytest.raises(ValueError, match="at least 16 frames"):
            metric.update(clips[:, :15], real=True)
        with pytest.raises(ValueError, match=r"Expected clips \(N, T, 3, H, W\), got"):
            metric.update(clips[:, 0], real=False)
        assert {key: value.item() for key, value in metric.compute().items()} == values[-1]
    assert values[0] == values[1]
    assert values[0]["fvd_i3d"] == values[0]["fd_i3d"]


def test_repeated_clips_are_counted(folder: Path) -> None:
    metric = GenerativeMetrics([JEDi()], I3D(weights=folder / "i3d.pt"))
    metric.update(CLIPS.repeat(2, 1, 1, 1, 1), real=True)
    distinct = metric.distinct("real")
    assert distinct is not None
    assert (distinct.num_samples, distinct.distinct) == (6, 3)


def of_share(group: Any, path: Path, shares: list[list[int]]) -> dict[str, float]:
    """Return the values that a rank computes of its share of the clips, given in batches."""
    import torch.distributed as dist

    metric = GenerativeMetrics([FVD(), JEDi()], I3D(weights=path), process_group=group, name="shares")
    mine = shares[dist.get_rank(group)]
    for clips, real in ((SIDES[0], True), (SIDES[1], False)):
        for number in mine:
            metric.update(clips[number : number + 1], real=real, index=torch.tensor([number]))
    return {key: value.item() for key, value in metric.compute().items()}


SIDES = draw_clips(6, 16, 24, 32, seed=8), draw_clips(6, 16, 24, 32, seed=9)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
@pytest.mark.parametrize(
    "shares", [[[5, 3, 1, 0, 2, 4]], [[0, 2, 4], [5, 3, 1]], [[4, 1, 0, 5], [], [2, 3]]], ids=["1", "2", "3, one empty"]
)
def test_batches_orders_and_ranks_do_not_matter(shares: list[list[int]], folder: Path, ranks: Any) -> None:
    metric = GenerativeMetrics([FVD(), JEDi()], I3D(weights=folder / "i3d.pt"))
    for clips, real in ((SIDES[0], True), (SIDES[1], False)):
        metric.update(clips, real=real)
    whole = {key: value.item() for key, value in metric.compute().items()}
    for values in ranks.run(len(shares), of_share, folder / "i3d.pt", shares):
        assert values == pytest.approx(whole, rel=1e-5)


# --- published values -------------------------------------------------------------------------------------------------


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning", "ignore::streaming_metrics.RepeatsWarning")
@pytest.mark.parametrize(("frames", "published"), [(10, 569.2296), (16, 152.9175), (30, 151.2565)])
def test_black_against_white_clips_are_as_far_apart_as_published(frames: int, published: float) -> None:
    """Of 8 black and 8 white clips of 64 × 64: README of common_metrics_on_video_quality, "fluctuates around 1"."""
    metric = GenerativeMetrics([FVD()], I3D(frames=frames))
    black = torch.zeros(8, frames, 3, 64, 64, dtype=torch.uint8)
    metric.update(black, real=True)
    metric.update(black + 255, real=False)
    assert metric.compute()["fvd_i3d"].item() == pytest.approx(published, abs=2)
