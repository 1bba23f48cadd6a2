"""Preflight: what headers tell is told before weights are loaded and images are decoded, all of it at once."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import WORLD
from PIL import Image, features
from test_cli import TINY, done, folder, noises, run, scores_of
from test_cli_counts import job

from streaming_metrics.cli.preflight import Headers, check_headers
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.images import Chosen, Images, Joined, find_source
from streaming_metrics.images.headers import FIRST, Header, header_of

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks

NO_NETWORK = ["--extractor", "no-such-network", "--workers", "0"]


def source(where: Any) -> Images:
    found = find_source(str(where))
    assert isinstance(found, Images)
    return found


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return folder(tmp_path / "real", noises(15, 0)), folder(tmp_path / "fake", noises(15, 1))


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "tiff", "gif", "ppm", "avif", "jpeg2000"])
def test_a_header_is_what_decoding_finds(tmp_path: Path, kind: str) -> None:
    if kind == "avif" and kind not in features.get_supported():
        pytest.skip("this PIL is built without AVIF")
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    (tmp_path / "0.png").write_bytes(encoded(image, kind))
    images = source(tmp_path)
    assert header_of(images, 0) == Header(300, 200, "P" if kind == "gif" else "RGB", False)
    assert tuple(images[0].shape) == (3, 200, 300)


def test_a_header_behind_the_first_bytes_is_found(tmp_path: Path) -> None:
    content = encoded(noises(1, 0)[0], "jpeg", icc_profile=bytes(3 * FIRST))
    (tmp_path / "0.jpg").write_bytes(content)
    assert header_of(source(tmp_path), 0) == Header(8, 8, "RGB", False)


def test_headers_of_archives_and_parts_are_those_of_files(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", (sides[0] / "000.png").read_bytes())
    for mode, ending in (("w", "tar"), ("w:gz", "tar.gz")):
        with tarfile.open(tmp_path / f"x.{ending}", mode) as archive:  # pyright: ignore
            archive.add(sides[0] / "000.png", "a.png")
    read = [source(tmp_path / f"x.{ending}") for ending in ("zip", "tar")]
    assert all(header_of(images, 0) == Header(8, 8, "RGB", False) for images in read)
    assert header_of(Chosen(Joined(read), [1]), 0) == Header(8, 8, "RGB", False)
    assert header_of(source(tmp_path / "x.tar.gz"), 0) is None  # a look into it would decompress all
    assert Headers.of(source("test_cli_counts:REAL"), Comm(timeout=9), lambda _: None) == Headers()


# --- what is refused --------------------------------------------------------------------------------------------------


def damaged(side: Path) -> list[str]:
    """Spoil four images of a side; return the lines that name them."""
    whole = (side / "000.png").read_bytes()
    huge = bytearray(encoded(noises(1, 0)[0], "bmp"))
    huge[18:26] = (60_000).to_bytes(4, "little") * 2
    spoilt = {
        "001": (b"", "no image of a known kind, an empty file"),
        "004": (whole[:20], ""),
        "007": (bytes(huge), ""),
    }
    for name, (content, _) in spoilt.items():
        (side / f"{name}.png").write_bytes(content)
    (side / "008.png").unlink()
    (side / "008.png").symlink_to(side / "gone.png")
    return [
        f"  {side / name}.png: {why}" for name, why in {**{n: w for n, (_, w) in spoilt.items()}, "008": ""}.items()
    ]


def test_all_that_does_not_read_is_told_before_a_network_is_loaded(sides: tuple[Path, Path]) -> None:
    lines = [line for side in sides for line in damaged(side)]
    third = folder(sides[0].parent / "third", noises(15, 2))
    for command in (["compare", *sides], ["compare", *sides, third]):
        result = run(*command, *NO_NETWORK)
        assert result.exit_code == 3
        assert "these images do not read (8)" in result.stderr
        assert all(line in result.stderr for line in lines)
        assert "DecompressionBombError" in result.stderr
    result = run("reference", sides[0], *NO_NETWORK, "-o", sides[0].parent / "x")
    assert "these images do not read (4)" in result.stderr


def test_what_is_skipped_is_counted_once(sides: tuple[Path, Path]) -> None:
    damaged(sides[1])
    result = run("compare", *sides, *TINY, "--on-error", "skip", "--json", "-")
    read = json.loads(result.stdout)
    assert [len(read[side]["unreadable"]) for side in ("real", "fake")] == [0, 4]
    assert result.stderr.count("004.png") == 1


def on_each_rank(_: Any, real: str, fake: str) -> tuple[str, list[str]]:
    lines = check_headers({"a": source(real), "b": source(fake)}, job("fid").comm, skip=True, shown=False)
    with pytest.raises(ValueError, match="do not read") as error:
        job("fid").compare(real, fake)
    return str(error.value), lines


def test_ranks_read_their_shares_of_the_headers(ranks: Ranks, sides: tuple[Path, Path]) -> None:
    lines = damaged(sides[1])
    noises(1, 0)[0].resize((4, 4)).save(sides[1] / "000.png")
    one = on_each_rank(None, *map(str, sides))
    found = ranks.run(WORLD, on_each_rank, *map(str, sides))
    assert found[0] == one
    assert all(line in one[0] for line in lines)
    assert "do not read (4)" in found[1][0]
    assert found[1][1] == one[1] == ["sizes of images differ: a: 8 × 8; b: 8 × 8 (10 of 11) and 1 other"]


# --- what is told -----------------------------------------------------------------------------------------------------


def test_sizes_and_modes_that_differ_are_told_and_kept(sides: tuple[Path, Path]) -> None:
    for i, image in enumerate(noises(15, 1)):
        image.resize((4, 6)).convert("L").save(sides[1] / f"{i:03}.png")
    line = f"sizes and modes of images differ: {sides[0]}: 8 × 8, RGB; {sides[1]}: 4 × 6, L"
    result = run("compare", *sides, *TINY, "--json", "-")
    assert json.loads(result.stdout)["warnings"] == [line]
    assert result.stderr.count(f"note: {line}") == 1
    assert result.stderr.index(line) < result.stderr.index("images/s")
    assert scores_of(*sides, *TINY, "--quiet")["warnings"] == [line]


def test_a_side_inside_the_other_is_told_and_kept(sides: tuple[Path, Path]) -> None:
    both = sides[0].parent
    for order, inner in (((sides[0], both), sides[0]), ((both, sides[1]), sides[1])):
        (line,) = scores_of(*order, *TINY)["warnings"]
        assert line.startswith(f"{inner} lies inside {both}, which is read with all folders below it")


def test_a_side_inside_the_other_that_is_left_out_there_is_no_news(sides: tuple[Path, Path]) -> None:
    shutil.move(sides[1], sides[0] / ".hidden")
    np.save(sides[0] / "fake.npy", np.stack([np.asarray(image) for image in noises(15, 1)]))
    for inner in (".hidden", "fake.npy"):
        assert scores_of(sides[0], sides[0] / inner, *TINY)["warnings"] == []


def test_a_link_to_a_side_inside_the_other_is_told(sides: tuple[Path, Path]) -> None:
    (sides[0] / "link").symlink_to(sides[1])
    (line,) = scores_of(sides[0], sides[0] / "link", *TINY)["warnings"]
    assert line.startswith(f"{sides[0] / 'link'} lies inside {sides[0]}, ")
    again = sides[1].parent / sides[1].name / ".." / sides[1].name
    assert not any("lies inside" in line for line in scores_of(sides[1], again, *TINY)["warnings"])


@pytest.mark.parametrize("several", [False, True])
def test_a_set_against_itself_is_told_and_kept(sides: tuple[Path, Path], tmp_path: Path, several: bool) -> None:
    """Whatever holds it: the folder itself, a copy, or a reference of it; and not where one image differs."""
    real, fake = sides
    copy = shutil.copytree(real, tmp_path / "copy")
    done("reference", real, "-o", tmp_path / "real.safetensors", *TINY, "--measures", "fid")
    for first, second in ((real, real), (real, copy), (tmp_path / "real.safetensors", copy)):
        others = [second, fake] if several else [second]
        found = json.loads(done("compare", first, *others, *TINY, "--measures", "fid", "--json", "-").stdout)
        of_each = [one["warnings"] for one in found["sides"].values()] if several else [found["warnings"]]
        said = [
            [line for line in lines if line.startswith(f"{second} holds the very images of {first}")]
            for lines in of_each
        ]
        assert [len(lines) for lines in said] == [1, 0][: len(others)]
    if not several:  # pairs alone, without a measure
        (line,) = scores_of(real, copy, "--measures", "none", "--paired", "mse", "--workers", 0)["warnings"]
        assert line.startswith(f"{copy} holds the very images of {real}")
    shutil.copy(fake / "003.png", copy / "003.png")
    assert scores_of(real, copy, *TINY)["warnings"] == []


def test_equal_sides_and_mixed_ones_are_no_news(sides: tuple[Path, Path]) -> None:
    assert scores_of(*sides, *TINY)["warnings"] == []
    for side, other in zip(sides, (3, 5)):
        noises(1, 0)[0].resize((other, 4)).save(side / "003.png")
    assert scores_of(*sides, *TINY)["warnings"] == []


@pytest.mark.parametrize(("low", "told", "warned"), [(0.0, "-1,1", True), (0.0, "0,1", False), (-1.0, "-1,1", False)])
def test_floats_in_half_of_the_range_that_was_told_are_warned_of(
    tmp_path: Path, low: float, told: str, warned: bool
) -> None:
    real, path = folder(tmp_path / "real", noises(12, 0)), tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).uniform(low, 1, (12, 8, 8, 3)).astype(np.float32))
    found = scores_of(real, f"{path}?range={told}", *TINY, "--measures", "prdc(k=3)")["warnings"]
    said = [line for line in found if "12 images that were looked at never leave the upper half of range=-1,1" in line]
    assert bool(said) == warned
