"""Clips on the command line: folders of videos and of frames, damage, references, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from test_cli import done, run, scores_of
from video_networks import draw_clips, write_frames, write_i3d, write_video

from streaming_metrics import FVD, GenerativeMetrics, JEDi
from streaming_metrics.extractors import resolve
from streaming_metrics.files.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
REAL, FAKE = draw_clips(5, 20, 24, 32, seed=1), draw_clips(4, 20, 24, 32, seed=2)
VIDEO = ["--measures", "fvd,jedi", "--workers", 0, "--device", "cpu"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_i3d(folder / "i3d.pt")
    for number, clip in enumerate(REAL):
        write_frames(folder / "real" / f"{number}", clip)
    for number, clip in enumerate(FAKE):
        write_video(folder / "fake" / f"{number}.mp4", clip)
    return folder


def expected(network: str, folder: Path, fake: Tensor = FAKE) -> tuple[Any, str]:
    metric = GenerativeMetrics([FVD(), JEDi()], resolve(network, weights=folder / "i3d.pt"))
    metric.update(REAL, real=True)
    metric.update(fake, real=False)
    return {key: pytest.approx(value.item(), rel=1e-5) for key, value in metric.compute().items()}, metric.signature()


@pytest.mark.parametrize("network", ["i3d", "i3d(frames=10,stride=2)"])
def test_folders_of_frames_against_videos(network: str, made: Path) -> None:
    result = scores_of(made / "real", made / "fake", *VIDEO, "--extractor", network, "--weights", made / "i3d.pt")
    scores, signature = expected(network, made)
    assert result["scores"] == scores
    assert result["signature"] == signature
    assert (result["real"]["num_samples"], result["fake"]["num_samples"]) == (5, 4)


def test_measures_of_clips_bring_their_network(made: Path, tmp_path: Path) -> None:
    weights = ["--weights", made / "i3d.pt", "--extractor", "i3d"]
    done("reference", made / "real", "-o", tmp_path / "real.safetensors", *VIDEO, *weights)
    scores, _ = expected("i3d", made)
    got = scores_of(tmp_path / "real.safetensors", made / "fake", *VIDEO, "--weights", made / "i3d.pt")
    assert got["scores"] == scores
    done("reference", made / "fake", "-o", tmp_path / "fake.safetensors", *VIDEO, *weights)
    got = scores_of(tmp_path / "real.safetensors", tmp_path / "fake.safetensors", *VIDEO, "--weights", made / "i3d.pt")
    assert got["scores"] == scores


def test_several_sides_share_one_real_side(made: Path, tmp_path: Path) -> None:
    weights = ["--weights", made / "i3d.pt", "--extractor", "i3d", *VIDEO]
    done("compare", made / "real", made / "fake", made / "real", *weights, "--json", tmp_path / "s.json")
    sides = json.loads((tmp_path / "s.json").read_text())["sides"]
    assert sides["fake"]["scores"] == expected("i3d", made)[0]
    assert sides["real"]["scores"]["jedi_i3d"] == pytest.approx(0, abs=1e-9)


def test_clips_that_do_not_read_are_an_error_or_counted(made: Path, tmp_path: Path) -> None:
    for number, clip in enumerate(FAKE):
        write_video(tmp_path / f"{number}.mp4", clip)
    write_video(tmp_path / "8_short.mp4", FAKE[0, :9])
    (tmp_path / "9_none.mp4").write_bytes(b"no video")
    given = [made / "real", tmp_path, *VIDEO, "--extractor", "i3d", "--weights", made / "i3d.pt"]
    failed = run("compare", *given)
    assert failed.exit_code == 3
    assert "these images do not read (2)" in failed.stderr
    assert "8_short.mp4: expected at least 16 frames (16f), got 9" in failed.stderr
    result = scores_of(*given, "--on-error", "skip")
    assert result["scores"] == expected("i3d", made)[0]
    assert len(result["fake"]["unreadable"]) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--paired", "psnr"], "--paired: expected images, got a network of clips"),
        (["--measures", "fid,low_level"], "networks that all take images, or all take clips, got i3d of clips"),
        (["--measures", "fvd(protocol=videogpt)", "--extractor", "i3d(frames=4)"], "frames: expected at least 10"),
    ],
)
def test_what_clips_cannot_do_is_said(options: list[str], message: str, made: Path) -> None:
    given = [made / "real", made / "fake", *VIDEO, "--extractor", "i3d", "--weights", made / "i3d.pt", *options]
    failed = run("compare", *given)
    assert failed.exit_code == 3
    assert message in " ".join(failed.stderr.split())


def test_explain_is_of_images(made: Path) -> None:
    failed = run("explain", made / "real", made / "real", "--extractor", "i3d", "--weights", made / "i3d.pt")
    assert failed.exit_code == 3
    assert "explain: expected a network of images, got i3d" in " ".join(failed.stderr.split())


def test_a_report_shows_stills(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    given = [made / "real", made / "fake", *VIDEO[2:], "--extractor", "i3d", "--weights", made / "i3d.pt"]
    done("compare", *given, "--measures", "fid,prdc(k=2)", "--report", tmp_path / "page.html")
    assert "prdc" in (tmp_path / "page.html").read_text()
    assert torch.equal(REAL, draw_clips(5, 20, 24, 32, seed=1))


def test_a_reference_names_no_files_to_load(made: Path, tmp_path: Path) -> None:
    """Its record is not the user's word, and a network of clips is a program."""
    metric = GenerativeMetrics([FVD()], resolve("i3d", weights=made / "i3d.pt"))
    metric.update(REAL, real=True)
    metric.save_reference(tmp_path / "real.safetensors")
    saved = Reference.load(tmp_path / "real.safetensors")
    record = {**saved.about["extractor"], "name": f"i3d(weights={str(made / 'i3d.pt')!r})"}
    replace(saved, about={**saved.about, "extractor": record}).save(tmp_path / "other.safetensors")
    failed = run("compare", tmp_path / "other.safetensors", made / "fake", *VIDEO)
    assert failed.exit_code == 3
    assert "whose arguments may name files to load" in " ".join(failed.stderr.split())
