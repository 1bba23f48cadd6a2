"""Pairs on the command line: torchmetrics' values of the images of one path, on any number of processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as functional
from PIL import Image
from test_cli import HERE, TINY, dateless, done, run, scores_of
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.image import PeakSignalNoiseRatio

from streaming_metrics.cli.reading import Packs
from streaming_metrics.images import find_source
from streaming_metrics.images.pairs import aligned

PAIRED = ["--paired", "psnr,ssim,mse"]


class Brightness(Metric):
    """A metric of one's own, whose state is a list."""

    higher_is_better, full_state_update = False, False
    apart: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("apart", default=[], dist_reduce_fx=None)

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.apart.append((preds.mean((1, 2, 3)) - target.mean((1, 2, 3))).abs())

    def compute(self) -> Tensor:
        return torch.cat(self.apart).mean()


per_image = PeakSignalNoiseRatio(1.0, dim=(1, 2, 3))


def pixels(n: int, seed: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


REAL = pixels(11, 0)
FAKE = (REAL * 0.7 + pixels(11, 1) * 0.3).astype(np.uint8)


def written(path: Path, images: np.ndarray, ending: str = "png") -> Path:
    """Write images into folders of several, in no order of theirs."""
    for i, image in enumerate(images):
        (path / f"part{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path / f"part{i % 2}" / f"{10 - i:02}.{ending}")
    return path


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return written(tmp_path / "real", REAL), written(tmp_path / "fake", FAKE)


def in_unit(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255


def expected(real: np.ndarray = REAL, fake: np.ndarray = FAKE) -> dict[str, float]:
    preds, target = in_unit(fake), in_unit(real)
    return {
        "psnr": functional.peak_signal_noise_ratio(preds, target, data_range=1.0).item(),
        "ssim": functional.structural_similarity_index_measure(preds, target, data_range=1.0).item(),  # pyright: ignore
        "mse": (preds - target).square().mean().item(),
    }


def of_pairs(scores: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in scores.items() if not key.endswith("patches")}


def test_pairs_are_scored_beside_the_measures(sides: tuple[Path, Path], tmp_path: Path) -> None:
    told = scores_of(*sides, *TINY, *PAIRED)
    assert of_pairs(told["scores"]) == pytest.approx(expected(), rel=1e-5)
    alone = scores_of(*sides, *TINY)
    assert told["scores"]["fd_patches"] == pytest.approx(alone["scores"]["fd_patches"], rel=1e-9)
    assert told.pop("paired")["better"] == {"psnr": "higher", "ssim": "higher", "mse": "lower"}
    assert told.keys() == alone.keys()  # files without pairs are as they were
    page = tmp_path / "report.html"
    table = done("compare", *sides, *TINY, *PAIRED, "--report", page, "--quiet").stdout.splitlines()
    assert [line.split("\t")[::2] for line in table[:-1]] == [
        ["fd_patches", "lower"],
        ["psnr", "higher"],
        ["ssim", "higher"],
        ["mse", "lower"],
    ]
    text = page.read_text()
    assert re.search(r"psnr ↑, ssim ↑, mse ↓ of 11 pairs, by torchmetrics \d", text)
    assert f"{told['scores']['psnr']:.1f}" in text


@pytest.mark.parametrize("measures", ["fid", "none"])
def test_each_image_is_decoded_once(measures: str, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    read = Packs.__getitem__
    monkeypatch.setattr(Packs, "__getitem__", lambda self, numbers: decoded.extend(numbers) or read(self, numbers))
    scores_of(*sides, *TINY, *PAIRED, "--measures", measures)
    assert len(decoded) == len(REAL) + len(FAKE)


def test_images_left_out_of_a_shuffled_measure_are_left_out_of_pairs(sides: tuple[Path, Path]) -> None:
    """IS is told how many images there are, so that those which do not read are found, and left out, before."""
    (sides[1] / "part0" / "10.png").write_bytes(b"no image")
    options = ["--extractor", "test_cli_counts:patches", "--workers", 0, "--measures", "is(splits=2),fid"]
    options += ["--on-error", "skip"]
    told, alone = scores_of(*sides, *options, *PAIRED), scores_of(*sides, *options)
    assert told["scores"].items() >= alone["scores"].items()
    left = {key: told["scores"][key] for key in expected()}
    assert left == pytest.approx(expected(REAL[1:], FAKE[1:]), rel=1e-5)


def test_files_of_scores_are_read_again(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("compare", *sides, *TINY, *PAIRED, "--json", tmp_path / "a.json")
    shown = done("show", tmp_path / "a.json").stdout
    assert "paired\tpsnr ↑, ssim ↑, mse ↓ of 11 pairs" in shown
    assert "score\tpsnr" in done("diff", tmp_path / "a.json", tmp_path / "a.json").stdout


def test_metrics_of_ones_own(sides: tuple[Path, Path]) -> None:
    told = scores_of(*sides, *TINY, "--paired", "test_cli_paired:Brightness,test_cli_paired:per_image")
    assert told["paired"]["better"] == {"brightness": "lower", "psnr": "higher"}
    apart = (in_unit(REAL).mean((1, 2, 3)) - in_unit(FAKE).mean((1, 2, 3))).abs().mean().item()
    assert told["scores"]["brightness"] == pytest.approx(apart, rel=1e-5)
    oracle = functional.peak_signal_noise_ratio(in_unit(FAKE), in_unit(REAL), 1.0, dim=(1, 2, 3))
    assert told["scores"]["psnr"] == pytest.approx(oracle.item(), rel=1e-5)


# --- pairs alone ------------------------------------------------------------------------------------------------------

ALONE = ["--measures", "none", "--device", "cpu", "--workers", 0]


def test_pairs_alone_need_no_network(sides: tuple[Path, Path], tmp_path: Path) -> None:
    told = scores_of(*sides, *ALONE, *PAIRED)
    beside = scores_of(*sides, *TINY, *PAIRED)
    assert told["scores"] == pytest.approx(expected(), rel=1e-5)
    assert (told["paired"], told["real"], told["fake"]) == (beside["paired"], beside["real"], beside["fake"])
    assert told["signature"].startswith("psnr+ssim+mse|ext:none|resize:none|real:11|fake:11|fp32|v")
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, names in zip(paths, ("psnr,mse", "mse,psnr")):
        done("compare", *sides, *ALONE, "--paired", names, "--json", path)
    assert "score\tmse" in done("diff", *paths).stdout
    done("compare", *sides, *ALONE, "--paired", "mse", "--num-samples", 5, "--json", paths[1])
    apart = run("diff", *paths)
    assert (apart.exit_code, "differs\tpairs\t11\t5" in apart.output) == (1, True)


def test_pairs_alone_list_all_that_does_not_read(sides: tuple[Path, Path]) -> None:
    for side, name in zip(sides, ("09", "07")):
        (side / "part1" / f"{name}.png").write_bytes(b"no image")
    result = run("compare", *sides, *ALONE, *PAIRED)
    assert result.exit_code == 3
    assert all(f"part1/{name}.png" in result.output for name in ("09", "07"))
    told = scores_of(*sides, *ALONE, *PAIRED, "--on-error", "skip")
    left = [place for place in range(11) if place not in (1, 3)]
    assert told["scores"] == pytest.approx(expected(REAL[left], FAKE[left]), rel=1e-5)
    assert (told["paired"]["pairs"], told["real"]["num_samples"], len(told["fake"]["unreadable"])) == (9, 10, 1)


def test_no_pair_left_is_not_passed_over(sides: tuple[Path, Path]) -> None:
    for place, side in enumerate(sides):
        for file in (side / f"part{place}").iterdir():
            file.write_bytes(b"no image")
    skips = ["--on-error", "skip"]
    alone = run("compare", *sides, *ALONE, *PAIRED, *skips)
    assert (alone.exit_code, "not scored: psnr: --paired: expected a pair" in alone.output) == (4, True)
    beside = run("compare", *sides, *TINY, *PAIRED, *skips)
    assert (beside.exit_code, "fd_patches" in beside.output) == (4, True)
    assert "not scored: psnr: --paired: expected a pair" in beside.output


@pytest.mark.parametrize(
    ("options", "message"),
    [([], "expected --paired metrics beside it"), ([*PAIRED, "--report", "r.html"], "expected measures to draw")],
)
def test_no_measures_without_pairs_and_no_report(sides: tuple[Path, Path], options: list[str], message: str) -> None:
    result = run("compare", *sides, *ALONE, *options)
    assert (result.exit_code, message in result.output) == (3, True)


# --- which images are a pair ------------------------------------------------------------------------------------------


def packed(path: Path, folder: Path, *, backwards: bool) -> Path:
    files = sorted(folder.rglob("*.*"), reverse=backwards)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, "w") as archive:
            for file in files:
                archive.add(file, f"./{file.relative_to(folder)}")
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_pairs_have_one_path_whatever_holds_them(kind: str, ending: str, tmp_path: Path) -> None:
    real, fake = written(tmp_path / "real", REAL), written(tmp_path / "fake", FAKE, ending)
    if kind != "folder":
        fake = packed(tmp_path / f"fake.{kind}", fake, backwards=True)
    found = aligned(find_source(str(real)), find_source(str(fake)))  # pyright: ignore[reportArgumentType]
    for i in range(len(REAL)):
        ours, theirs = (side[i].permute(1, 2, 0).numpy() for side in found)
        [place] = [place for place, image in enumerate(REAL) if np.array_equal(image, ours)]
        assert np.array_equal(theirs, FAKE[place])


def test_arrays_are_paired_by_number(tmp_path: Path) -> None:
    paths = [tmp_path / "real.npz", tmp_path / "fake.npz"]
    for path, images in zip(paths, (REAL, FAKE)):
        np.savez(path, images)
    assert of_pairs(scores_of(*paths, *TINY, *PAIRED)["scores"]) == pytest.approx(expected(), rel=1e-5)


def test_a_part_is_of_the_same_pairs(sides: tuple[Path, Path]) -> None:
    told = scores_of(*sides, *TINY, *PAIRED, "--num-samples", 7, "--seed", 3)
    assert told["paired"]["pairs"] == told["real"]["num_samples"] == told["fake"]["num_samples"] == 7
    strangers = expected(REAL, np.roll(FAKE, 1, 0))["psnr"]
    assert strangers < 10 < 16 < told["scores"]["psnr"]


def test_images_of_several_sizes_are_pairs_too(sides: tuple[Path, Path]) -> None:
    for side, shift in zip(sides, (0, 40)):
        Image.fromarray(pixels(1, 5, side=24)[0] // 2 + shift).save(side / "large.png")
    errors = [np.square(FAKE / 255 - REAL / 255), np.full((24, 24, 3), (40 / 255) ** 2)]
    mean = sum(error.sum() for error in errors) / sum(error.size for error in errors)
    assert scores_of(*sides, *TINY, "--paired", "mse")["scores"]["mse"] == pytest.approx(mean, rel=1e-5)


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # test_cli.py has torchrun too
def test_torchrun_equals_one_process(sides: tuple[Path, Path], tmp_path: Path) -> None:
    """Eleven pairs on two processes, in batches of two: 3 and 3 of them, the second one's last of one pair."""
    (sides[1] / "part0" / "10.png").write_bytes(b"no image")
    arguments = ["compare", *map(str, sides), *TINY, "--paired", "psnr,ssim,mse,test_cli_paired:Brightness"]
    arguments += ["--on-error", "skip", "--batch-size", "2", "--json"]
    one = dateless(done(*arguments, "-").stdout)
    assert one["paired"]["pairs"] == 10
    assert {key: one["scores"][key] for key in expected()} == pytest.approx(expected(REAL[1:], FAKE[1:]), rel=1e-5)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    path = os.pathsep.join([str(HERE.parent), str(HERE), str(HERE / "cli")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [*launcher, "-m", "streaming_metrics", *arguments, str(tmp_path / "two.json")]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    two = dateless((tmp_path / "two.json").read_text())
    assert two.pop("scores") == pytest.approx(one.pop("scores"), rel=1e-5)
    assert two == one


# --- mistakes ---------------------------------------------------------------------------------------------------------


def refused(*arguments: Any, code: int = 3) -> str:
    result = run("compare", *arguments, *TINY)
    assert result.exit_code == code, result.output
    return result.output


def test_missing_partners_are_listed_before_the_work(sides: tuple[Path, Path]) -> None:
    (sides[1] / "part0" / "08.png").rename(sides[1] / "part0" / "8.png")
    (sides[0] / "part0" / "06.png").unlink()
    told = refused(*sides, *PAIRED)
    assert f"1 in {sides[0]} without: part0/08" in told
    assert f"2 in {sides[1]} without: part0/06, part0/8" in told
    assert "Remedy: the same paths below both" in told
    assert "of 11 images" not in told


def test_paths_that_only_endings_tell_apart_are_pairs_by_their_whole(sides: tuple[Path, Path]) -> None:
    for side in sides:
        Image.fromarray(REAL[0]).save(side / "part0" / "10.bmp")
    assert scores_of(*sides, *TINY, *PAIRED)["paired"]["pairs"] == 12
    (sides[1] / "part0" / "10.bmp").rename(sides[1] / "part0" / "10.tif")
    assert "without: part0/10.bmp" in refused(*sides, *PAIRED)


def test_two_sizes_name_the_pair(sides: tuple[Path, Path]) -> None:
    Image.fromarray(pixels(1, 5, side=8)[0]).save(sides[1] / "part1" / "09.png")
    told = refused(*sides, *PAIRED)
    assert f"got 16 × 16 of {sides[0] / 'part1' / '09.png'} and 8 × 8 of {sides[1] / 'part1' / '09.png'}" in told


def test_what_is_no_source_of_pairs_is_told(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("reference", sides[0], "-o", tmp_path / "real.safetensors", "--measures", "fid", *TINY)
    assert "expected images, for pairs, got a saved reference" in refused(
        tmp_path / "real.safetensors", sides[1], *PAIRED
    )
    np.savez(tmp_path / "fake.npz", FAKE)
    assert "expected paths of both sources, or of none" in refused(sides[0], tmp_path / "fake.npz", *PAIRED)
    np.savez(tmp_path / "fewer.npz", REAL[:10])
    assert "expected as many images in both" in refused(tmp_path / "fewer.npz", tmp_path / "fake.npz", *PAIRED)


@pytest.mark.parametrize(
    ("paired", "code", "message"),
    [
        ("psrn", 2, "Unknown paired metric 'psrn'. Did you mean 'psnr'"),
        ("test_cli_paired:pixels", 3, "expected test_cli_paired:pixels to be a metric .*or to make one"),
        ("psnr,test_cli_paired:per_image", 3, "two metrics yield 'psnr'"),
        ("ms-ssim", 3, "--paired: ms_ssim: .*larger than"),
    ],
)
def test_metrics_that_cannot_be_meant_are_refused(
    sides: tuple[Path, Path], paired: str, code: int, message: str
) -> None:
    told = re.sub(r"[│╭╮╰╯─\s]+", " ", refused(*sides, "--paired", paired, code=code))
    assert re.search(message, told), told


def test_json_goes_to_stdout_alone(sides: tuple[Path, Path]) -> None:
    told = done("compare", *sides, *TINY, *PAIRED, "--json", "-", "--quiet").stdout
    assert json.loads(told)["paired"]["library"].startswith("torchmetrics ")
