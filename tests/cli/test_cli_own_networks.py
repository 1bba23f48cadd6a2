"""Measures that bring their network, on the command line: images, saved references, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_cli import TINY, done, run, scores_of, sides

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sides"]
MEASURES = ["--measures", "fid,low_level,sharpness_difference"]
pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def rounded(scores: dict[str, float]) -> Any:
    return pytest.approx(scores, rel=1e-9)


def test_fid_and_low_level_statistics_of_two_folders(sides: tuple[Path, Path], tmp_path: Path) -> None:
    result = scores_of(*sides, *TINY, *MEASURES)
    assert list(result["scores"])[:2] == ["fd_patches", "luminance_pixels"]
    assert "fid+low_level@low-level-1+sharpness_difference@low-level-1|ext:module-patches" in result["signature"]
    apart = {**scores_of(*sides, *TINY)["scores"]}
    apart |= scores_of(*sides, "--extractor", "low-level", "--workers", 0, MEASURES[0], MEASURES[1][4:])["scores"]
    assert result["scores"] == rounded(apart)
    done("compare", *sides, *TINY, *MEASURES, "--report", tmp_path / "page.html", "--json", tmp_path / "scores.json")
    assert "spectrum_slope_pixels" in (tmp_path / "page.html").read_text()
    shown = done("show", tmp_path / "scores.json").stdout.splitlines()
    assert "low_level@low-level-1\tlow_level@low-level-1" in shown
    assert "other networks\tlow-level-1" in shown


def test_scores_with_and_without_another_network_compare(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("compare", *sides, *TINY, "--json", tmp_path / "alone.json")
    done("compare", *sides, *TINY, *MEASURES, "--json", tmp_path / "several.json")
    found = done("diff", tmp_path / "alone.json", tmp_path / "several.json").stdout
    assert "note\tother networks\t?\tlow-level-1" in found
    assert "score\tfd_patches" in found
    dino = "fid+fid@dino-1|ext:a-1+dino-1|resize:native|real:50|fake:50|fp32|v0.1.0"
    assert run("diff", dino, dino.replace("dino-1", "dino-2")).exit_code == 1
    assert run("diff", dino, dino.replace("ext:a-1", "ext:b-1")).exit_code == 1


@pytest.mark.parametrize("name", ["saved.safetensors", "saved"])
def test_references_are_written_side_by_side_and_found_so(name: str, sides: tuple[Path, Path], tmp_path: Path) -> None:
    told = done("reference", sides[0], "-o", tmp_path / name, *TINY, *MEASURES).stderr
    other = tmp_path / name.replace("saved", "saved.low-level")
    assert f"note: features of low-level are in {other}" in told
    assert other.exists()
    expected = scores_of(*sides, *TINY, *MEASURES)["scores"]
    assert scores_of(tmp_path / name, sides[1], *TINY, *MEASURES)["scores"] == rounded(expected)
    done("reference", sides[1], "-o", tmp_path / "drawn", *TINY, *MEASURES)
    assert scores_of(tmp_path / name, tmp_path / "drawn", *TINY, *MEASURES)["scores"] == rounded(expected)
    alone = scores_of(other, sides[1], "--workers", 0, "--measures", "low_level")["scores"]
    assert alone == rounded({key: expected[key] for key in alone})


def test_a_reference_without_the_other_network_says_what_to_do(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("reference", sides[0], "-o", tmp_path / "real.safetensors", *TINY, "--measures", "fid")
    assert list(tmp_path.glob("real.*")) == [tmp_path / "real.safetensors"]
    result = run("compare", tmp_path / "real.safetensors", sides[1], *TINY, *MEASURES)
    assert result.exit_code == 3
    assert f"expected features of low-level in {tmp_path / 'real.low-level.safetensors'}" in result.stderr
    assert "Remedy: streaming-metrics reference with these --measures" in result.stderr


def test_files_of_other_images_do_not_pass_for_one(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("reference", sides[0], "-o", tmp_path / "saved", *TINY, *MEASURES)
    done("reference", sides[1], "-o", tmp_path / "other", *TINY, *MEASURES)
    (tmp_path / "other.low-level").rename(tmp_path / "saved.low-level")
    result = run("compare", tmp_path / "saved", sides[1], *TINY, *MEASURES)
    assert result.exit_code == 3
    assert "expected files of the same samples, got [30, 40]" in result.stderr


def test_an_npz_is_of_the_first_network_alone(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("reference", sides[0], "-o", tmp_path / "real.npz", *TINY, *MEASURES)
    assert list(tmp_path.glob("real.*")) == [tmp_path / "real.npz"]
    for extractor in (TINY, ["--extractor", "low-level", "--workers", 0]):
        result = run("reference", sides[0], "-o", tmp_path / "low.npz", *extractor, "--measures", "low_level")
        assert result.exit_code == 3
        assert "An .npz holds mean and covariance" in result.stderr


def test_the_extractor_is_listed() -> None:
    assert "low-level" in done("extractors").stdout
    assert "sharpness_difference" in done("measures").stdout


def test_low_level_statistics_alone_need_no_other_network(sides: tuple[Path, Path], tmp_path: Path) -> None:
    alone = ["--workers", 0, "--measures", "low_level"]
    expected = scores_of(*sides, *alone, "--extractor", "low-level")
    assert scores_of(*sides, *alone)["scores"] == expected["scores"]
    done("reference", sides[0], "-o", tmp_path / "saved.safetensors", *alone)
    assert scores_of(tmp_path / "saved.safetensors", sides[1], *alone)["scores"] == rounded(expected["scores"])
