"""Weights files: what is read, what is refused, and that nothing in them runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import safetensors.torch
import torch
from torch import nn

from streaming_metrics.extractors import InceptionV3, TorchvisionExtractor
from streaming_metrics.extractors.weights import digest_of_name, frozen_network, load_weights

if TYPE_CHECKING:
    from collections.abc import Callable

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(STATE, tmp_path / "linear.pth")
    return tmp_path / "linear.pth"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch.hub's folder, empty and for this test alone."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def check_state(state: dict[str, torch.Tensor]) -> None:
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)


def test_both_formats_are_read(file: Path) -> None:
    safetensors.torch.save_file(STATE, file.with_suffix(".safetensors"))
    for path in (file, file.with_suffix(".safetensors")):
        state, digest = load_weights(path)
        check_state(state)
        assert digest == sha256(path)


@pytest.mark.parametrize("digits", [8, 64])
def test_the_digest_is_checked_before_anything_is_read(file: Path, digits: int) -> None:
    expected = sha256(file)[:digits]
    check_state(load_weights(file, expected)[0])
    check_state(load_weights(str(file), expected.upper())[0])
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=f"expected sha256 {expected}, got {sha256(file)}; it was not read. Remedy"):
        load_weights(file, expected)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"weights: expected a file, found none at .*nowhere.pth. Remedy"):
        load_weights(tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match="found none at"):
        InceptionV3(weights=tmp_path / "nowhere.pth")


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.file,)


def test_code_in_a_file_never_runs(tmp_path: Path) -> None:
    torch.save({"weight": Trap(tmp_path / "ran")}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="expected names and tensors only"):
        load_weights(tmp_path / "trap.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [{"state_dict": STATE}, [1, 2], STATE["weight"], nn.Linear(3, 2)],
    ids=["nested", "list", "tensor", "module"],
)
def test_a_file_of_other_things_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="expected names and tensors only"):
        load_weights(tmp_path / "other.pth")


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all"], ids=["empty", "text"])
def test_a_broken_file_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="expected names and tensors only"):
        load_weights(tmp_path / name)


# --- URLs -------------------------------------------------------------------------------------------------------------


def test_a_url_is_fetched_once_into_the_folder_of_torch_hub(file: Path, hub: Path) -> None:
    url = file.as_uri()
    check_state(load_weights(url)[0])
    file.unlink()
    check_state(load_weights(url)[0])
    assert [path.name for path in hub.iterdir()] == ["linear.pth"]


def test_a_download_of_another_digest_is_not_kept(file: Path, hub: Path) -> None:
    check_state(load_weights(file.as_uri(), sha256(file))[0])
    (hub / "linear.pth").unlink()
    with pytest.raises(ConnectionError, match=r'cannot be fetched .invalid hash value .expected "01234567"'):
        load_weights(file.as_uri(), "01234567")
    assert not list(hub.iterdir())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/net-12345678.pth", "file:///nowhere/net.pth"])
def test_an_unreachable_url_says_what_to_do(url: str, hub: Path) -> None:
    with pytest.raises(
        ConnectionError, match=r'Remedy: give weights= .* the path .* extractor="efficientnet-lite0" .*\[offline\]'
    ):
        load_weights(url)
    assert not list(hub.iterdir())


# --- published files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth"])
def test_a_file_of_the_published_name_must_be_the_published_one(
    name: str, inception_weights: Path, tmp_path: Path
) -> None:
    (tmp_path / name).symlink_to(inception_weights)
    with pytest.raises(ValueError, match=rf"{name}: expected sha256 6726825d0af5\w+, got {sha256(inception_weights)}"):
        InceptionV3(weights=tmp_path / name)
    assert digest_of_name(f"https://mirror.org/a/{name}", "6726825d0a") == "6726825d0a"


def test_the_default_weights_are_checked_too(file: Path, hub: Path) -> None:
    for name in ("weights-inception-2015-12-05-6726825d.pth", "resnet18-f37072fd.pth"):
        (hub / name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="expected sha256 6726825d"):
        InceptionV3()
    with pytest.raises(ValueError, match="expected sha256 f37072fd, got"):
        TorchvisionExtractor("resnet18")


def test_weights_of_another_network_are_refused(file: Path, weights: Path) -> None:
    with pytest.raises(ValueError, match=r"expected the \d+ tensors of the reference Inception, got .*Remedy"):
        InceptionV3(weights=file)
    with pytest.raises(ValueError, match="tensors of torchvision/resnet18, got"):
        TorchvisionExtractor("resnet18", weights=weights / "mobilenet_v3_small.pth")


@pytest.mark.weights
def test_the_published_weights_load() -> None:
    assert InceptionV3().published == {"pool", "logits", "spatial"}


# --- networks ---------------------------------------------------------------------------------------------------------


def test_a_network_is_made_alike_whatever_is_set_around_it() -> None:
    random, half = torch.get_rng_state(), {name: tensor.half() for name, tensor in STATE.items()}
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.inference_mode(), torch.device("meta"):
            network = frozen_network(lambda: nn.Linear(3, 2), half, "a layer")
    finally:
        torch.set_default_dtype(torch.float32)
    check_state(network.state_dict())
    assert all(tensor.dtype == torch.float32 and not tensor.requires_grad for tensor in network.parameters())
    assert not any(tensor.is_inference() for tensor in network.parameters())
    assert not network.training
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": STATE["weight"]}, r"bias: expected \(2,\), got None"),
        ({**STATE, "more": STATE["bias"]}, r"more: expected None, got \(2,\)"),
        ({**STATE, "bias": torch.ones(3)}, r"bias: expected \(2,\), got \(3,\)"),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_tensors_that_do_not_fit_are_named(state: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=f"expected the 2 tensors of a layer, got 1 that differ .{message}"):
        frozen_network(lambda: nn.Linear(3, 2), state, "a layer")


class Waves(nn.Module):
    """A table that is computed, and that no file holds, as rotary embeddings are."""

    table: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("table", torch.linspace(0, 1, 7).sin(), persistent=False)


def test_tables_that_no_file_holds_are_not_rounded_to_a_default_dtype() -> None:
    state = nn.Linear(3, 2).state_dict(prefix="layer.")
    torch.set_default_dtype(torch.bfloat16)
    try:
        network = frozen_network(Waves, state, "waves")
        assert torch.get_default_dtype() == torch.bfloat16
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(cast("Waves", network).table, Waves().table)


def test_files_of_a_revision_or_a_folder_on_the_hub_are_not_taken_for_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    values = {"main/net.pth": 1.0, "v2/net.pth": 2.0, "main/ema/net.pth": 3.0, "v2/ema/net.pth": 4.0}

    def download(url: str, path: str, *_: object, **__: object) -> None:
        torch.save({"w": torch.tensor(values[url.partition("/resolve/")[2]])}, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for inside, value in values.items():
        assert load_weights(f"https://huggingface.co/me/nets/resolve/{inside}")[0]["w"] == value
