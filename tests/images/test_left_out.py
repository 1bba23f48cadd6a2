"""Which files are images of a source: hidden ones, other kinds and archives are left out and counted, never guessed."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from test_cli import TINY, done, noises, run

from streaming_metrics.images import Images, find_source
from streaming_metrics.images.decode import decode

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

HIDDEN = [".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", ".AppleDouble", "lost+found", "$RECYCLE.BIN"]


def encoded(image: Image.Image, kind: str = "png") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


PICTURE = encoded(noises(1, 0)[0])
JPEG = encoded(noises(1, 0)[0], "jpeg")


def in_folder(where: Path, names: list[str]) -> Path:
    for name in names:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(JPEG if name.endswith("jfif") else PICTURE)
    return where


def in_zip(where: Path, names: list[str]) -> Path:
    where.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(where.with_suffix(".zip"), "w") as archive:
        for name in names:
            archive.writestr(name, JPEG if name.endswith("jfif") else PICTURE)
    return where.with_suffix(".zip")


def in_tar(where: Path, names: list[str]) -> Path:
    where.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(where.with_suffix(".tar"), "w") as archive:
        for name in names:
            content = JPEG if name.endswith("jfif") else PICTURE
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return where.with_suffix(".tar")


HOLDERS = {"folder": in_folder, "zip": in_zip, "tar": in_tar}


def images_in(where: Any) -> Images:
    source = find_source(str(where))
    assert isinstance(source, Images)
    assert [source[i].shape[0] for i in range(len(source))] == [3] * len(source)
    return source


# --- hidden -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_lies_in_a_hidden_folder_is_not_counted(tmp_path: Path, holder: str) -> None:
    hidden = [f"a/{folder}/deep/0.png" for folder in HIDDEN] + ["._0.png", "a/.0.png"]
    source = images_in(HOLDERS[holder](tmp_path / "x", ["a/0.png", "./1.png", *hidden, "a/notes.txt"]))
    assert len(source) == 2
    hidden_ones = {f"hidden ({folder})": 1 for folder in HIDDEN} | {"hidden (by their names)": 2}
    assert source.left_out == hidden_ones | {".txt (no image)": 1}


def test_a_root_may_itself_be_hidden(tmp_path: Path) -> None:
    root = in_folder(tmp_path / ".cache" / "@eaDir", ["0.png", "b/1.png"])
    assert len(images_in(root)) == len(images_in(root / "b")) + 1 == 2


def test_links_neither_hide_nor_repeat_a_folder(tmp_path: Path) -> None:
    root = in_folder(tmp_path / "x", ["deep/images/0.png", "deep/images/1.png"])
    for link in (".cache", "latest", "again"):
        (root / link).symlink_to(root / "deep" / "images")
    (root / "deep" / "beside").symlink_to(root / "deep" / "images")
    assert len(images_in(root)) == 2


def test_a_source_of_hidden_images_alone_says_what_it_found(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"found none \(left out: 1 \.heic \(not read\), 2 hidden \(\.thumbnails\)\)"):
        find_source(str(in_folder(tmp_path / "x", [".thumbnails/0.png", ".thumbnails/1.png", "a.heic"])))


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_is_no_image_is_counted_by_ending(tmp_path: Path, holder: str) -> None:
    names = ["0.png", "dataset.json", "a/0.json", "a/1.JSON", "LICENSE", "a/x.zip", ".DS_Store", ".git/config"]
    source = images_in(HOLDERS[holder](tmp_path / "x", names))
    zips = {".zip beside images" if holder == "folder" else ".zip (no image)": 1}
    assert source.left_out == {".json (no image)": 2, "without ending (no image)": 1} | zips
    many = [f"{i}.{i}x{j}" for i in range(10) for j in range(i + 1)]
    source = images_in(HOLDERS[holder](tmp_path / "y", ["0.png", *many, *(f"b{i}.a" for i in range(3))]))
    assert sum(source.left_out.values()) == len(many) + 3
    assert len(source.left_out) == 9
    assert "of other endings (no image)" in source.left_out


def test_what_lies_beside_shards_is_counted(tmp_path: Path) -> None:
    in_tar(tmp_path / "set" / "0", ["0.png", "0.json"])
    in_folder(tmp_path / "set", ["index.json", ".thumbnails/0.png"])
    assert images_in(tmp_path / "set").left_out == {".json (no image)": 2, "hidden (.thumbnails)": 1}


def test_nothing_of_it_is_lost_where_notes_are_not_wanted(tmp_path: Path) -> None:
    real = in_folder(tmp_path / "real", ["0.png", "1.png", "notes.txt"])
    result = done("compare", real, real, *TINY, "--quiet", "--json", "-")
    assert json.loads(result.stdout)["fake"]["left_out"] == {".txt (no image)": 1}
    assert result.stderr == ""


# --- archives and images ----------------------------------------------------------------------------------------------


def test_images_beside_shards_are_a_question(tmp_path: Path) -> None:
    root = in_folder(tmp_path / "set", ["preview.png", "more/preview.png"])
    for shard in "ab":
        in_tar(root / "shards" / shard, [f"{shard}{i}.png" for i in range(3)])
    with pytest.raises(
        ValueError, match=r"got both: 2 images .* and 2 archives .*Remedy: .*set:tar .*set:png or .*:all"
    ):
        find_source(str(root))
    assert len(images_in(f"{root}:tar")) == 6
    assert len(images_in(f"{root}:png")) == len(images_in(f"{root}:all")) == 2
    assert images_in(f"{root}:tar").left_out == {"images beside the archives": 2}
    assert images_in(f"{root}:png").left_out == {".tar beside images": 2}


def test_shards_may_lie_deeper_where_there_are_none_above(tmp_path: Path) -> None:
    in_tar(tmp_path / "below" / "b", ["0.png", "1.png"])
    assert len(images_in(tmp_path)) == 2
    in_tar(tmp_path / "a", ["0.png"])
    assert len(images_in(tmp_path)) == 1
    assert images_in(tmp_path).left_out == {"other archives": 1}


def test_a_zip_beside_images_and_kinds_that_are_not_read_are_said(tmp_path: Path) -> None:
    real = in_folder(tmp_path / "real", ["0.png", "1.jfif", "2.heic", "3.HEIC", "4.tga", ".thumbnails/0.png"])
    in_zip(real / "real", ["0.png"])
    left_out = {".heic (not read)": 2, ".tga (not read)": 1, "hidden (.thumbnails)": 1, ".zip beside images": 1}
    assert len(images_in(real)) == 2
    result = done("compare", real, real, *TINY, "--json", tmp_path / "x.json", "--report", tmp_path / "x.html")
    read = json.loads((tmp_path / "x.json").read_text())
    assert read["real"]["left_out"] == read["fake"]["left_out"] == left_out
    line = "left out: 2 .heic (not read), 1 .tga (not read), 1 hidden (.thumbnails), 1 .zip beside images"
    assert f"note: {real}: {line}" in result.stderr
    assert line in (tmp_path / "x.html").read_text()
    assert line in done("show", tmp_path / "x.json").stdout


# --- webdataset's samples ---------------------------------------------------------------------------------------------


def test_of_a_sample_with_several_images_one_is_chosen(tmp_path: Path) -> None:
    shard = in_tar(tmp_path / "s" / "0", ["a/x.png", "a/x.cond.png", "a/x.json", "a/y.png", "a/y.cond.png"])
    with pytest.raises(ValueError, match=r"several: \.cond\.png, \.png.*Remedy: .*:cond\.png; or …:all"):
        find_source(str(shard))
    chosen = images_in(f"{shard}:png")
    assert [chosen.name(i)[-7:] for i in range(len(chosen))] == ["a/x.png", "a/y.png"]
    assert chosen.left_out == {".cond.png (not .png)": 2, ".json (no image)": 1}
    for where in (f"{shard}:cond.png", f"{tmp_path / 's'}:cond.png", f"{tmp_path / 's'}:tar:png"):
        assert len(images_in(where)) == 2
    assert len(images_in(f"{shard}:all")) == 4


@pytest.mark.parametrize(
    "names",
    [["cat.0.jpg", "cat.1.jpg", "dog.1.jpg"], ["x.png", "y.jpg", "z.cond.png"], ["2024.05.1.png", "2024.05.2.png"]],
)
def test_dots_in_names_and_mixed_endings_are_no_question(tmp_path: Path, names: list[str]) -> None:
    assert len(images_in(in_tar(tmp_path / "x", names))) == 3 - (names[0] == "2024.05.1.png")


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_path_is_not_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(in_folder(tmp_path, ["0.png"]))
    for sides in ((".", text), (text, ".")):
        result = run("compare", *sides, *TINY)
        assert result.exit_code == 3
        assert "got an empty path" in result.stderr
    assert len(images_in(".")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memory://none/real.zip", "found nothing at the address memory://none/real.zip. Remedy: see that it is right"),
        ("example.org/real.zip", "at the address example.org/real.zip. Remedy: https://example.org/real.zip, say"),
        ("foo://bucket/real", "foo://bucket/real: expected an address that fsspec knows, got Protocol not known: foo"),
        ("reel", "found nothing at reel. Did you mean 'real'?"),
        ("quite/other", "there is no folder quite either"),
        ("quite", "holds notes.csv, notes.npy, other.npz, real"),
        ("json.decoder", "Remedy for a dataset: json.decoder:its_name"),
        ("other.npz", "expected an .npz of images (arr_0) or of moments (mu and sigma), found images, labels"),
        (
            "notes.npy",
            "notes.npy: expected images (N, 3 or 1, H, W), (N, H, W, 3 or 1), (N, H, W), grey, got shape (3,)",
        ),
        ("notes.csv", "got a file 'notes.csv' of none of these kinds"),
        ("real:tar", "expected .tar archives, found none"),
        ("real:jpg", "found none (left out: 1 .png (not .jpg))"),
    ],
)
def test_errors_name_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    in_folder(tmp_path / "real", ["0.png"])
    np.savez("other.npz", images=np.zeros(3), labels=np.zeros(3))
    np.save("notes.npy", np.zeros(3))
    (tmp_path / "notes.csv").write_text("no image")
    result = run("compare", text, "real", *TINY)
    assert result.exit_code == 3
    assert said in result.stderr


# --- sixteen bits -----------------------------------------------------------------------------------------------------


def png(pixels: np.ndarray, interlaced: bool = False) -> bytes:
    """Return 16-bit pixels ``(H, W, 1 to 4)`` as a PNG."""
    height, width, channels = pixels.shape
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    parts = [pixels[y::dy, x::dx] for x, y, dx, dy in passes] if interlaced else [pixels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric="rgb" if pixels.shape[2] > 2 else "minisblack", **options)
    return stream.getvalue()


def planes(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", **options)
    return stream.getvalue()


def deep(channels: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 65536, (33, 29, channels), dtype=np.uint16)
    pixels[0, :5, 0] = [0, 128, 129, 65534, 65535]
    return pixels


SIXTEEN = {
    "grey": (1, png),
    "grey and alpha": (2, png),
    "colour": (3, png),
    "colour and alpha": (4, png),
    "interlaced colour": (3, lambda pixels: png(pixels, interlaced=True)),
    "interlaced grey and alpha": (2, lambda pixels: png(pixels, interlaced=True)),
    "tiff": (3, tiff),
    "big-endian tiff": (3, lambda pixels: tiff(pixels, byteorder=">")),
    "compressed tiff": (3, lambda pixels: tiff(pixels, compression="zlib")),
    "tiff in strips": (3, lambda pixels: tiff(pixels, rowsperstrip=5)),
    "tiff with alpha": (4, lambda pixels: tiff(pixels, extrasamples=["unassalpha"])),
    "grey tiff": (1, tiff),
    "tiff, colours apart": (3, planes),
    "big-endian tiff, colours apart": (3, lambda pixels: planes(pixels, byteorder=">")),
    "tiff with alpha, colours apart": (4, lambda pixels: planes(pixels, extrasamples=["unassalpha"])),
    "tiff in tiles, colours apart": (3, lambda pixels: planes(pixels, tile=(16, 16))),
}


@pytest.mark.parametrize("kind", SIXTEEN)
def test_sixteen_bits_are_rounded_whatever_holds_them(kind: str) -> None:
    channels, encode = SIXTEEN[kind]
    pixels = deep(channels)
    colours = pixels[..., :1].repeat(3, 2) if channels < 3 else pixels[..., :3]
    expected = torch.from_numpy(np.rint(colours / 257).astype(np.uint8)).permute(2, 0, 1)
    assert torch.equal(decode(encode(pixels)), expected)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "LA"])
def test_other_kinds_of_pixels_are_as_pil_converts_them(mode: str) -> None:
    image = noises(1, 0)[0].convert(mode)
    expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    if mode == "P":
        image.info["transparency"] = bytes(range(256))
    assert torch.equal(decode(encoded(image, "tiff" if mode == "CMYK" else "png")), expected)
