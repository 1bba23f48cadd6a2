"""EXIF: images are taken as stored unless asked for, which signatures, references and notes say."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, features
from test_cli import TINY, done, folder, noises, run, scores_of

from streaming_metrics.images import Chosen, Images, Joined, find_source
from streaming_metrics.images.decode import decode
from streaming_metrics.images.headers import parsed
from streaming_metrics.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

ORIENTATION = 0x0112
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))


def with_exif(image: Image.Image, orientation: int, kind: str = "png") -> bytes:
    exif, stream = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    image.save(stream, kind, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    return stream.getvalue()


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders; of the generated side twelve images are turned."""
    real, fake = folder(tmp_path / "real", noises(15, 0)), folder(tmp_path / "fake", noises(15, 1))
    for i, image in enumerate(noises(12, 1)):
        (fake / f"{i:03}.png").write_bytes(with_exif(image, 6))
    return real, fake


# --- pixels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_pil_turns_it(kind: str, orientation: int) -> None:
    if kind == "avif" and kind not in features.get_supported():
        pytest.skip("this PIL is built without AVIF")
    content = with_exif(PICTURE, orientation, kind)
    with Image.open(io.BytesIO(content)) as image:
        shown = image if kind == "tiff" else ImageOps.exif_transpose(image)  # PIL 10.0 turns a TIFF twice
        assert torch.equal(decode(content, upright=True), pixels(shown))
    with Image.open(io.BytesIO(content)) as image:
        assert torch.equal(decode(content), pixels(image))
    header, (_, height, width) = parsed(content), decode(content).shape
    assert (header.width, header.height) == (width, height)
    assert header.is_turned == (orientation > 1 and kind != "tiff")  # which PIL turns in any case


def test_sixteen_bits_are_turned_too() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (4, 5), dtype=np.uint16)
    content = with_exif(Image.fromarray(deep), 6)
    assert torch.equal(decode(content, upright=True), decode(content).transpose(1, 2).flip(2))


@pytest.mark.parametrize("exif", [b"Exif\0\0no exif", b"", b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63\0\0"])
def test_damaged_exif_turns_nothing_and_hides_no_image(exif: bytes) -> None:
    stream = io.BytesIO()
    PICTURE.save(stream, "png", exif=exif)
    assert not parsed(stream.getvalue()).is_turned
    assert torch.equal(decode(stream.getvalue(), upright=True), pixels(PICTURE))


ITEMS: list[Any] = [Image.open(io.BytesIO(with_exif(PICTURE, 3)))]


def test_every_source_of_files_is_turned_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "0.png").write_bytes(with_exif(PICTURE, 3))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "x" / "0.png", "0.png")
    found = [find_source(str(where)) for where in (tmp_path / "x", tmp_path / "x.zip", "test_cli_exif:ITEMS")]
    sources = [one for one in found if isinstance(one, Images)]
    for source in (*sources, Joined(sources), Chosen(sources[0], [0])):
        turned = source.turned_upright()
        assert torch.equal(turned[0], source[0].flip(1, 2))
        assert turned.recipe() != source.recipe()
        assert not source.upright
    assert len(sources) == 3


# --- what is told -----------------------------------------------------------------------------------------------------


def test_turned_images_are_warned_of(sides: tuple[Path, Path]) -> None:
    line = f"{sides[1]}: EXIF turns 12 of 15 images, whose pixels are taken as stored. Remedy: --exif"
    result = run("compare", *sides, *TINY, "--json", "-")
    assert result.stderr.count(line) == 1
    assert json.loads(result.stdout)["warnings"][0].startswith(line)
    result = run("compare", *sides, *TINY, "--exif", "--json", "-")
    assert "EXIF" not in result.stderr


def test_scores_with_and_without_do_not_compare(sides: tuple[Path, Path]) -> None:
    stored = scores_of(*sides, *TINY)
    turned = scores_of(*sides, *TINY, "--exif")
    for i in range(12):
        with Image.open(sides[1] / f"{i:03}.png") as image:
            ImageOps.exif_transpose(image).save(sides[1] / f"{i:03}.png")
    by_hand = scores_of(*sides, *TINY)
    assert turned["scores"] == by_hand["scores"] != stored["scores"]
    assert turned["fake"]["data"] == by_hand["fake"]["data"]
    signature = Signature.parse(turned["signature"])
    assert (signature.exif, Signature.parse(stored["signature"]).exif) == ("turned", "")
    assert str(signature).replace("|exif:turned", "") == stored["signature"]
    result = run("diff", stored["signature"], turned["signature"])
    assert result.exit_code == 1
    assert "differs\texif\tas stored\tturned" in result.stdout
    assert "- exif, as stored and turned: an image that is turned is another image to a network" in result.stderr
    assert run("diff", turned["signature"], turned["signature"]).exit_code == 0


def test_several_sides_and_pairs_say_it_too(sides: tuple[Path, Path]) -> None:
    done("compare", *sides, sides[0].parent / "real", *TINY, "--exif", "--json", sides[0].parent / "x.json")
    assert (sides[0].parent / "x.json").read_text().count("|exif:turned|") == 2
    alone = scores_of(*sides, "--measures", "none", "--paired", "mse", "--workers", 0, "--exif")
    assert "|exif:turned|" in alone["signature"]


def test_a_reference_serves_images_that_are_taken_as_its_own_were(sides: tuple[Path, Path], tmp_path: Path) -> None:
    for name, option in (("stored", []), ("turned", ["--exif"])):
        done("reference", sides[1], *TINY, "--measures", "fid", "-o", tmp_path / name, *option)
    assert "exif\tturned" in done("show", tmp_path / "turned").stdout
    assert "exif\t" not in done("show", tmp_path / "stored").stdout
    assert run("diff", tmp_path / "turned", tmp_path / "stored").exit_code == 1
    whole = scores_of(sides[1], sides[0], *TINY, "--exif")
    assert scores_of(tmp_path / "turned", sides[0], *TINY, "--exif")["scores"] == whole["scores"]
    for name, option, remedy in (
        ("stored", ["--exif"], "make it again with --exif"),
        ("turned", [], "--exif here too"),
    ):
        result = run("compare", sides[0], tmp_path / name, *TINY, *option)
        assert result.exit_code == 3
        assert remedy in result.stderr
    result = run("reference", sides[1], *TINY, "--measures", "fid", "-o", tmp_path / "x.npz", "--exif")
    assert result.exit_code == 3
    assert "An .npz does not say --exif" in result.stderr
