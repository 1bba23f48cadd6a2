"""Addresses, read through fsspec, archives of Zstandard and what webdataset holds beside images."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest
import torch
from backports import zstd
from test_cli import TINY, done
from test_sources import FILES, ORDER, PIXELS, encoded, images_in, outcome, tarred, zipped
from test_tables import CLASSES, NCHW, written
from torch.utils.data import DataLoader

from streaming_metrics.images import Unreadable, find_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = NCHW[ORDER]


@pytest.fixture
def memory() -> Iterator[str]:
    """Return the address of an empty folder in memory."""
    system = fsspec.filesystem("memory")
    yield "memory://box"
    system.rm("/box", recursive=True)


def put(address: str, path: Path) -> str:
    """Copy a file or a folder to an address, and return what it is there."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    for file in files:
        with fsspec.open(f"{address}/{file.relative_to(path.parent)}", "wb") as remote:
            remote.write(file.read_bytes())  # pyright: ignore
    return f"{address}/{path.name}"


def folder(path: Path) -> Path:
    for name, content in FILES.items():
        (path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "set" / name).write_bytes(content)
    return path / "set"


def saved(path: Path, save: Callable[..., None], name: str) -> Path:
    save(path / name, PIXELS[ORDER])
    return path / name


def compressed(path: Path) -> Path:
    """Return a tar archive as two frames of Zstandard."""
    whole = tarred(path).read_bytes()
    halves = [zstd.compress(part) for part in (whole[:3000], whole[3000:])]
    (path / "images.tar.zst").write_bytes(b"".join(halves))
    (path / "images.tar").unlink()
    return path / "images.tar.zst"


def shards(path: Path) -> Path:
    (path / "set").mkdir()
    for letter in "ab":
        tarred(path / "set", suffix=f"-{letter}.tar", names=[name for name in sorted(FILES) if name.startswith(letter)])
    return path / "set"


def table(path: Path, name: str = "x.parquet") -> Path:
    return written(path / name, row_group_size=4)


KINDS: dict[str, Callable[[Path], Path]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda path: tarred(path, "w:gz", ".tar.gz"),
    "tar.zst": compressed,
    "npz": lambda path: saved(path, np.savez, "x.npz"),
    "compressed npz": lambda path: saved(path, np.savez_compressed, "x.npz"),
    "npy": lambda path: saved(path, np.save, "x.npy"),
    "folder": folder,
    "shards": shards,
    "parquet": table,
    "folder of parquet": lambda path: table(path, "set/train-00000-of-00001.parquet").parent,
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_gives_what_is_there(tmp_path: Path, memory: str, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    expected = NCHW if "parquet" in kind else HERE
    text = put(memory, path)
    source = images_in(text)
    assert torch.equal(torch.stack([source[i] for i in range(6)]), expected)
    assert source.files() is None
    assert source.head(0, 100) is None  # a look at each would cost a request
    assert all(source.name(i).startswith(text) for i in range(6))
    workers = 2 if kind in ("zip", "parquet") else 0
    assert torch.equal(torch.stack(list(DataLoader(source, batch_size=None, num_workers=workers))), expected)
    local = images_in(f"file://{path}")
    assert torch.equal(torch.stack([local[i] for i in range(6)]), expected)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.zst", "npz", "npy", "parquet"])
def test_what_is_truncated_at_an_address_is_refused(tmp_path: Path, memory: str, kind: str) -> None:
    path = KINDS[kind](tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    text = put(memory, path)
    with pytest.raises(ValueError, match=f"{path.name}: expected .*got one that does not read"):
        find_source(text)


def test_a_damaged_image_at_an_address_leaves_the_others(tmp_path: Path, memory: str) -> None:
    (folder(tmp_path) / "b" / "1.png").write_bytes(encoded(PIXELS[1])[:60])
    source = images_in(put(memory, tmp_path / "set"))
    with pytest.raises(Unreadable):
        source[3]
    assert torch.equal(source[4], HERE[4])
    fsspec.filesystem("memory").rm("/box/set/b/3.png")
    with pytest.raises(Unreadable, match=r"3\.png"):
        source[4]


def test_choices_and_options_stand_behind_addresses_too(tmp_path: Path, memory: str) -> None:
    assert len(images_in(f"{put(memory, tarred(tmp_path))}:png")) == 6
    floats = (PIXELS / 255).astype(np.float32)
    np.save(tmp_path / "x.npy", floats)
    assert torch.equal(images_in(f"{put(memory, tmp_path / 'x.npy')}?range=0,1")[2], NCHW[2])
    assert torch.equal(images_in(f"{put(memory, table(tmp_path))}:image")[2], NCHW[2])


@pytest.mark.parametrize("name", ["x.pt", "x.arrow", "x.safetensors", "x.txt"])
def test_what_needs_a_local_file_says_so(tmp_path: Path, memory: str, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ValueError, match=rf"{name}: expected "):
        find_source(put(memory, tmp_path / name))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(
        ImportError, match=r"memory://x: an address needs fsspec. Remedy: pip install .streaming-metrics.remote"
    ):
        find_source("memory://x")


def test_nothing_at_an_address_is_a_missing_source() -> None:
    with pytest.raises(FileNotFoundError, match=r"found nothing at the address memory://box/none\.zip"):
        find_source("memory://box/none.zip")


def test_an_address_that_cannot_be_read_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("Access denied\nto you")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "info", refuse)
    with pytest.raises(
        ValueError, match=r"memory://x.zip: expected to read there, got PermissionError: Access denied\. "
    ):
        find_source("memory://x.zip")


def test_what_may_be_secret_in_an_address_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "memory://me:SECRET@host/x.zip?Signature=SECRET"

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(f"403, url='{address}'")

    with pytest.raises(FileNotFoundError, match=r"memory://…@host/x\.zip\?…") as missing:
        find_source(address)
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "info", refuse)
    with pytest.raises(ValueError, match=r"403, url='memory://…@host/x\.zip\?…'") as refused:
        find_source(address)
    assert "SECRET" not in f"{missing.value} {refused.value}"


def test_an_address_is_compared_with_a_file(tmp_path: Path, memory: str) -> None:
    real, fake = zipped(tmp_path), put(memory, table(tmp_path))
    done("compare", real, fake, "--measures", "fid", *TINY)


# --- Zstandard --------------------------------------------------------------------------------------------------------


def test_a_tar_of_zstandard_is_read_in_any_order(tmp_path: Path) -> None:
    source = images_in(compressed(tmp_path))
    assert torch.equal(torch.stack([source[i] for i in (5, 0, 3, 1)]), HERE[[5, 0, 3, 1]])
    assert torch.equal(torch.stack(list(DataLoader(source, batch_size=None, num_workers=2))), HERE)
    assert source.files() == (tmp_path / "images.tar.zst",)


def test_damage_in_zstandard_is_refused_or_counted(tmp_path: Path) -> None:
    path = compressed(tmp_path)
    whole = path.read_bytes()
    expected = {image.numpy().tobytes() for image in HERE}
    for at in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:at])
        assert outcome(path) is None
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        read = outcome(path)
        assert read is None or all(image is None or image.numpy().tobytes() in expected for image in read)


def test_without_zstandard_an_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compressed(tmp_path)
    for name in ("compression", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "streaming-metrics\[zstd\]"'):
        find_source(str(path))


# --- webdataset -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_webdataset_holds_beside_an_image_is_its_class(tmp_path: Path, mode: str) -> None:
    with tarfile.open(tmp_path / "x.tar", mode) as archive:  # pyright: ignore
        for i, image in enumerate(PIXELS):
            beside = {} if i == 3 else {"cls": f"{CLASSES[i]}\n".encode()}
            for ending, content in {**beside, "png": encoded(image), "txt": b"a cat", "json": b"{}"}.items():
                member = tarfile.TarInfo(f"{i:04d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    source = images_in(tmp_path / "x.tar")
    assert torch.equal(torch.stack([source[i] for i in range(6)]), NCHW)
    assert [source.label(i) for i in range(6)] == [*CLASSES[:3], None, *CLASSES[4:]]
