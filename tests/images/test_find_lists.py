"""Lists of paths, patterns and single images: what they stand for, in order, and what is wrong with damaged ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_cli import TINY, run
from test_left_out import PICTURE, images_in, in_folder, in_tar

from streaming_metrics.files.reference import Reference
from streaming_metrics.images import Images, find_source
from streaming_metrics.images.find_patterns import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with four images in two folders of ``runs``."""
    monkeypatch.chdir(tmp_path)
    return in_folder(tmp_path / "runs", NAMES)


def below(source: Images) -> list[str | None]:
    return [source.path_below(i) for i in range(len(source))]


# --- lists ------------------------------------------------------------------------------------------------------------


def listed(where: Path, lines: Sequence[object]) -> Path:
    where.write_text("\n".join(map(str, lines)))
    return where


def test_a_list_gives_its_images_in_its_order(runs: Path) -> None:
    file = listed(runs / "some.txt", ["# chosen", "b/1.png", "", runs / "a" / "0.png", "b/1.png  ", "./a/0.png"])
    for text in (str(file), f"@{file}", "runs/some.txt"):
        source = images_in(text)
        assert below(source) == ["b/1.png", "a/0.png"]
        assert source.left_out == {"listed again": 2}
    assert source.files() is not None
    assert images_in(str(file)).recipe() != images_in(str(runs)).recipe()


def test_the_root_of_a_list_is_what_its_images_share(runs: Path) -> None:
    file = listed(runs.parent / "one", ["runs/b/0.png", "runs/b/1.png"])
    assert below(images_in(f"@{file}")) == ["0.png", "1.png"]


def test_a_list_may_name_archives_and_folders(runs: Path) -> None:
    in_tar(runs / "shard", ["x.png", "x.cond.png"])
    file = listed(runs / "parts.txt", ["b", "shard.tar", "a/1.png"])
    assert [name and name[-5:] for name in below(images_in(f"{file}:png"))] == ["0.png", "1.png", "x.png", "1.png"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a/0.png\na/7.png\n\nb/8.png", "found nothing at line 2: a/7.png, line 4: b/8.png. Remedy"),
        (b"# nothing\n\n", "found none in 2 lines"),
        (b"\xff\xfe\x00a/0.png", "as UTF-8 text, got other bytes"),
        (b"a/0.png\nlist.txt", "got another list"),
        (b"a/notes.md", "got a file 'notes.md' of none of these kinds"),
    ],
)
def test_a_damaged_list_is_refused(runs: Path, content: bytes, said: str) -> None:
    (runs / "a" / "notes.md").write_text("no image")
    (runs / "list.txt").write_bytes(content)
    result = run("compare", runs / "list.txt", runs, *TINY)
    assert result.exit_code == 3
    assert said in result.stderr


def test_a_list_that_is_missing_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="found no file none"):
        find_source("@none")


# --- patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("runs/{b,a}/*.png", NAMES),
        ("runs/**/0.png", ["a/0.png", "b/0.png"]),
        ("runs/**", NAMES),
        ("runs/*", NAMES),
        ("runs/{a/{0..1},a/*}.png", ["0.png", "1.png"]),
        ("runs/[b]/?.png", ["b/0.png", "b/1.png"]),
        ("./runs/a/*", ["0.png", "1.png"]),
        ("runs/a/*:png", ["0.png", "1.png"]),
    ],
)
def test_a_pattern_gives_what_it_matches_sorted_and_once(pattern: str, expected: list[str]) -> None:
    found = below(images_in(pattern))
    assert (
        found == expected if pattern != "runs/*" else [name and name[-5:] for name in found] == ["0.png", "1.png"] * 2
    )


def test_numbers_in_braces_keep_their_zeros() -> None:
    assert expanded("s-{008..010}") == ["s-008", "s-009", "s-010"]
    assert expanded("{9..11}{x}{}") == ["9{x}{}", "10{x}{}", "11{x}{}"]
    with pytest.raises(ValueError, match="at most 1,000,000 paths"):
        expanded("{0..9999999}")
    with pytest.raises(ValueError, match="at most 1,000,000 paths"):
        expanded("{0..9999}{0..9999}")


def test_a_pattern_of_shards_joins_them(runs: Path) -> None:
    for i in range(3):
        in_tar(runs / f"shard-{i:03}", [f"{i}.png", f"{i}.cond.png"])
    assert below(images_in("runs/shard-{000..002}.tar:png")) == ["0.png", "1.png", "2.png"]
    (runs / "shard-001.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"found nothing at runs/shard-001\.tar"):
        find_source("runs/shard-{000..002}.tar:png")
    assert len(images_in("runs/*.tar:cond.png")) == 2
    (runs / "shard-002.tar").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"shard-002\.tar: expected a tar archive, got one that does not read"):
        find_source("runs/*.tar:png")


def test_what_a_pattern_leaves_out_is_counted(runs: Path) -> None:
    in_folder(runs, ["a/@eaDir/0.png", "a/x.heic", "b/deep/0.png", "c/0.png"])
    source = images_in("runs/{a,b}/{*,@eaDir/*,no-*.jpg}")
    left_out = {"hidden (@eaDir)": 1, ".heic (not read)": 1, "folders beside the files": 1}
    nothing = [f"pattern that matches nothing (runs/{one})" for one in ("a/no-*.jpg", "b/@eaDir/*", "b/no-*.jpg")]
    assert below(source) == NAMES
    assert source.left_out == left_out | dict.fromkeys(nothing, 1)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("runs/*.webp", "expected paths that match, found none; runs holds a, b"),
        ("reel/*.png", "found none; there is no folder reel"),
        ("runs/a/{0,7}.png", "expected a file or folder for each, found nothing at runs/a/7.png"),
        ("runs/*/*", "got both: 4 images (a/0.png) and 1 archives (b/x.tar)"),
        ("refs/*", "expected images, got a saved reference"),
        ("memory://none/*.png", "found nothing at the address"),
    ],
)
def test_a_pattern_that_does_not_serve_is_refused(runs: Path, pattern: str, said: str) -> None:
    in_tar(runs / "b" / "x", ["0.png"])
    (runs.parent / "refs").mkdir()
    np.savez(runs.parent / "refs" / "real.npz", mu=np.zeros(3), sigma=np.eye(3))
    assert isinstance(find_source("refs/real.npz"), Reference)
    result = run("compare", pattern, "runs/a", *TINY)
    assert result.exit_code == 3
    assert said in result.stderr


def test_a_path_that_looks_like_a_pattern_is_a_path(runs: Path) -> None:
    assert below(images_in(in_folder(runs / "a[0]", ["x.png"]))) == ["x.png"]
    assert len(images_in(in_folder(runs / "{a,b}", ["x.png"]))) == 1
    (runs / "@list").mkdir()
    (runs / "@list" / "0.png").write_bytes(PICTURE)
    assert len(images_in("runs/@list")) == 1


# --- single images ----------------------------------------------------------------------------------------------------


def test_a_single_image_is_a_source_of_one(runs: Path) -> None:
    assert below(images_in(runs / "a" / "0.png")) == ["0.png"]
    result = run("compare", runs, runs / "a" / "0.png", *TINY)
    assert result.exit_code == 4
    assert "FID needs at least 2 fake samples, got 1" in result.stderr
    (runs / "a" / "0.png").write_bytes(PICTURE[:40])
    result = run("compare", runs / "b", runs / "a" / "0.png", *TINY, "--measures", "none", "--paired", "psnr")
    assert result.exit_code == 3
