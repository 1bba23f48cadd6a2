"""The command line as users run it: scores in the expected order, the same on any number of processes, clear errors."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from skimage import data as photographs
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from streaming_metrics import FID, PRDC, GenerativeMetrics, Scalar, cli
from streaming_metrics.cli.results import Origin
from streaming_metrics.cli.results import Result as Scores
from streaming_metrics.extractors import EfficientNetLite0, ModuleExtractor
from streaming_metrics.signature import Signature, library_version

SIDE = 64
HERE = Path(__file__).parents[1]


class Patches(nn.Module):
    """The smallest extractor: means of a coarse grid, with three of them as logits."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


@dataclass(frozen=True)
class RootFID(FID):
    """The square root of FID, as a user may define it."""

    power: float = 0.5

    label = "root_fid"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (Scalar("root_fid", "Root of FID", "lower", elsewhere="root_fd"),)

    def compute(self, sides: Any, prepared: Any, results: Any) -> dict[str, torch.Tensor]:
        return {"root_fid": super().compute(sides, prepared, results)["fid"] ** self.power}


def patches() -> ModuleExtractor:
    return ModuleExtractor(Patches(), tag="patches")


def small() -> EfficientNetLite0:
    return EfficientNetLite0(side=SIDE)


TINY = ["--extractor", "test_cli:patches", "--workers", "0"]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def done(*arguments: Any) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def crops(n: int, seed: int) -> list[Image.Image]:
    draw = np.random.default_rng(seed)
    photos = [photographs.astronaut(), photographs.coffee(), photographs.chelsea(), *load_sample_images().images]
    corners = [(photo := photos[i % 5], *(draw.integers(size - SIDE) for size in photo.shape[:2])) for i in range(n)]
    return [Image.fromarray(photo[y : y + SIDE, x : x + SIDE, :3]) for photo, y, x in corners]


def folder(path: Path, images: list[Image.Image]) -> Path:
    path.mkdir()
    for i, image in enumerate(images):
        image.save(path / f"{i:03}.png")
    return path


def noises(n: int, seed: int) -> list[Image.Image]:
    draw = np.random.default_rng(seed)
    return [Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(n)]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return folder(tmp_path / "real", noises(40, 0)), folder(tmp_path / "fake", noises(30, 1))


def scores_of(*arguments: Any) -> dict[str, Any]:
    """Return what a comparison writes, without its date."""
    return dateless(done("compare", *arguments, "--json", "-").stdout)


def dateless(written: str) -> dict[str, Any]:
    read = json.loads(written)
    assert read.pop("date")
    return read


# --- numbers ----------------------------------------------------------------------------------------------------------


def blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def noisy(image: Image.Image, deviation: float) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, deviation, (SIDE, SIDE, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).round().astype(np.uint8))


def compressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=quality)
    return Image.open(stream).convert("RGB")


@pytest.mark.slow
def test_degraded_photographs_score_in_the_expected_order(tmp_path: Path) -> None:
    other = crops(45, 1)
    copies = {
        "other crops": other,
        "some blur": [blurred(image, 1.5) for image in other],
        "much blur": [blurred(image, 4) for image in other],
        "some noise": [noisy(image, 20) for image in other],
        "much noise": [noisy(image, 60) for image in other],
        "good jpeg": [compressed(image, 60) for image in other],
        "bad jpeg": [compressed(image, 5) for image in other],
        "one mode": crops(225, 1)[::5],
        "duplicates": [*other[:5]] * 9,
    }
    real = folder(tmp_path / "real", crops(45, 0))
    options = ["--extractor", "test_cli:small", "--measures", "fid,kid(subset_size=25),prdc(k=3)"]
    done("reference", real, "-o", tmp_path / "real.safetensors", *options, "--workers", 0)
    found: dict[str, dict[str, float]] = {}
    for name, images in copies.items():
        fake = folder(tmp_path / name, images)
        scores = scores_of(tmp_path / "real.safetensors", fake, *options, "--workers", 0)["scores"]
        found[name] = {key.removesuffix("_efficientnet_lite0"): value for key, value in scores.items()}
    for key in ("fd", "kd"):
        for best, mild, bad in (("other crops", f"some {kind}", f"much {kind}") for kind in ("blur", "noise")):
            assert found[best][key] < found[mild][key] < found[bad][key]
        assert found["other crops"][key] < found["good jpeg"][key] < found["bad jpeg"][key]
        assert all(found["other crops"][key] < found[name][key] for name in ("one mode", "duplicates"))
    for worse in ("one mode", "duplicates"):
        assert found[worse]["recall"] < 0.7 * found["other crops"]["recall"]
        assert found[worse]["coverage"] < 0.8 * found["other crops"]["coverage"]
    assert found["duplicates"]["precision"] > 0.8 * found["other crops"]["precision"]
    for worse in ("much blur", "much noise", "bad jpeg"):
        assert found[worse]["recall"] < 0.5 * found["other crops"]["recall"]


def test_scores_are_those_of_the_metric(sides: tuple[Path, Path]) -> None:
    metric = GenerativeMetrics([FID(), PRDC(k=3)], patches())
    for path, real in zip(sides, (True, False)):
        images = [torch.from_numpy(np.array(Image.open(file))) for file in sorted(path.iterdir())]
        metric.update(torch.stack(images).permute(0, 3, 1, 2), real=real)
    expected = {key: value.item() for key, value in metric.compute().items()}
    result = scores_of(*sides, "--measures", "fid,prdc(k=3)", *TINY)
    assert result["scores"] == pytest.approx(expected, rel=1e-9)
    assert result["signature"] == metric.signature()
    assert [result[side]["num_samples"] for side in ("real", "fake")] == [40, 30]
    assert result["warnings"] == []


@pytest.mark.parametrize("options", [["--batch-size", 7], ["--workers", 2, "--batch-size", 5], ["--device", "cpu"]])
def test_nothing_depends_on_how_images_are_read(sides: tuple[Path, Path], options: list[Any]) -> None:
    measures = ["--measures", "fid,kid(subset_size=20),prdc(k=3)"]
    whole = scores_of(*sides, *measures, *TINY)
    other = scores_of(*sides, *measures, *TINY, *options)
    assert other.pop("scores") == pytest.approx(whole.pop("scores"), rel=1e-5)
    assert other == whole


def test_the_same_images_have_one_fingerprint_whatever_holds_them(sides: tuple[Path, Path], tmp_path: Path) -> None:
    real = sides[0]
    np.savez(tmp_path / "real.npz", np.stack([np.array(Image.open(file)) for file in sorted(real.iterdir())]))
    with zipfile.ZipFile(tmp_path / "real.zip", "w") as archive:
        for i, file in enumerate(sorted(real.iterdir(), reverse=True)):
            archive.writestr(f"{i}.png", file.read_bytes())
    results = [scores_of(where, sides[1], *TINY) for where in (real, tmp_path / "real.npz", tmp_path / "real.zip")]
    assert len({result["real"]["data"] for result in results}) == 1
    assert results[0]["fake"]["data"] != results[0]["real"]["data"]
    for result in results[1:]:
        assert result["scores"] == pytest.approx(results[0]["scores"], rel=1e-9)


@pytest.mark.parametrize("siblings", ["1", "64"])
def test_workers_never_number_less_than_none(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, siblings: str
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", siblings)
    assert scores_of(*sides, *TINY[:2])["real"]["num_samples"] == 40


def test_images_of_different_sizes_share_a_folder(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shapes = [(8, 8), (6, 9), (8, 8), (4, 4), (6, 9)] * 4
    images = [Image.fromarray(draw.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]
    mixed = folder(tmp_path / "mixed", images)
    metric = GenerativeMetrics([FID()], patches())
    for i, image in enumerate(images):
        one = torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0)
        metric.update(one, real=True, index=torch.tensor([i]))
        metric.update(one.flip(3), real=False)
    mirrored = folder(tmp_path / "mirrored", [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for image in images])
    result = scores_of(mixed, mirrored, *TINY)
    assert result["scores"] == pytest.approx({"fd_patches": metric.compute()["fd_patches"].item()}, rel=1e-6)


def test_a_part_is_drawn_by_seed(sides: tuple[Path, Path]) -> None:
    def part(seed: int) -> dict[str, Any]:
        return scores_of(*sides, *TINY, "--num-samples", 20, "--seed", seed)

    first, same, other = part(0), part(0), part(1)
    assert first == same
    assert first["scores"] != other["scores"]
    assert first["real"]["num_samples"] == first["fake"]["num_samples"] == 20
    assert first["real"]["data"] != other["real"]["data"]


@pytest.mark.slow
def test_torchrun_equals_one_process(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (sides[1] / "017.png").write_bytes(b"no image")
    arguments = ["compare", *map(str, sides), *TINY, "--measures", "fid,kid(subset_size=20),prdc(k=3)"]
    arguments += ["--on-error", "skip", "--batch-size", "4", "--json"]
    one = dateless(done(*arguments, "-").stdout)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE), str(HERE / "cli")]),
        "OMP_NUM_THREADS": "1",
    }
    environment |= {"GLOO_SOCKET_IFNAME": "lo"}
    command = [*launcher, "-m", "streaming_metrics", *arguments, str(tmp_path / "two.json")]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    two = dateless((tmp_path / "two.json").read_text())
    assert two.pop("scores") == pytest.approx(one.pop("scores"), rel=1e-5)
    assert two == one
    assert [name for name, _ in one["fake"]["unreadable"]] == [str(sides[1] / "017.png")]


# --- references -------------------------------------------------------------------------------------------------------


def test_a_reference_scores_as_its_images_do_and_says_what_made_it(sides: tuple[Path, Path], tmp_path: Path) -> None:
    measures = ["--measures", "fid,prdc(k=3)"]
    done("reference", sides[0], "-o", tmp_path / "saved", *measures, *TINY)
    expected = scores_of(*sides, *measures, *TINY)
    result = scores_of(tmp_path / "saved", sides[1], *measures, *TINY)
    assert result["scores"] == expected["scores"]
    assert result["real"] == expected["real"] | {"source": str(tmp_path / "saved")}
    shown = done("show", tmp_path / "saved").stdout
    for word in ("module-patches", expected["real"]["data"], library_version(), "native", "radii of bank_12/3"):
        assert word in shown


def test_a_reference_names_its_extractor(sides: tuple[Path, Path], tmp_path: Path) -> None:
    part = ["--num-samples", 4, "--workers", 0]
    options = ["--extractor", "efficientnet-lite0", "--measures", "fid", *part]
    done("reference", sides[0], "-o", tmp_path / "saved", *options)
    assert "fd_efficientnet_lite0" in scores_of(tmp_path / "saved", sides[1], *part)["scores"]
    refused = run("compare", tmp_path / "saved", sides[1], *TINY)
    assert refused.exit_code == 3
    assert "expected features of 'module-patches" in refused.stderr
    assert "got features of 'efficientnet-lite0-57934424|" in refused.stderr


def test_a_reference_brings_the_side_of_its_network(sides: tuple[Path, Path], tmp_path: Path) -> None:
    saved, measures = tmp_path / "saved.safetensors", ["--measures", "kid(subsets=None)", "--workers", 0]
    sided = ["--extractor", "efficientnet-lite0(side=32)"]
    done("reference", sides[0], "-o", saved, *sided, *measures)
    assert scores_of(saved, sides[1], *measures)["scores"] == scores_of(*sides, *sided, *measures)["scores"]
    result = run("compare", saved, sides[1], *measures, "--extractor", "efficientnet-lite0(side=64)")
    assert result.exit_code == 3
    assert "got features of 'efficientnet-lite0-57934424|pool|torch-antialias-32|fp32'" in result.stderr
    assert "leave --extractor, --resize and --precision out" in result.stderr


def test_two_references_are_compared_without_an_image(sides: tuple[Path, Path], tmp_path: Path) -> None:
    for side, name in zip(sides, ("real.safetensors", "fake.npz")):
        done("reference", side, "-o", tmp_path / name, *TINY, "--measures", "fid")
    result = scores_of(tmp_path / "real.safetensors", tmp_path / "fake.npz", *TINY)
    assert result["scores"] == pytest.approx(scores_of(*sides, *TINY)["scores"], rel=1e-9)
    assert Signature.parse(result["signature"]).fake == 30
    result = run("reference", tmp_path / "real.safetensors", "-o", tmp_path / "copy", *TINY)
    assert result.exit_code == 3
    assert "expected images, got a saved reference" in result.stderr


def test_a_foreign_npz_is_named_as_what_it_is(sides: tuple[Path, Path], tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", mu=np.full(12, 0.5), sigma=np.eye(12) / 100)
    result = scores_of(tmp_path / "real.npz", sides[1], *TINY)
    assert "does not say which extractor" in result["warnings"][0]
    unknown = {"num_samples": None, "unreadable": [], "data": None, "left_out": {}}
    assert result["real"] == {"source": str(tmp_path / "real.npz"), **unknown}
    assert "|real:npz-" in result["signature"]
    done("compare", tmp_path / "real.npz", sides[1], *TINY, "--report", tmp_path / "page.html")
    assert "30 generated against npz-" in (tmp_path / "page.html").read_text()


# --- merge, show, diff ------------------------------------------------------------------------------------------------


def saved_half(sides: tuple[Path, Path], path: Path, half: int, *measures: Any) -> Path:
    metric = GenerativeMetrics(measures, patches())
    for side, real in zip(sides, (True, False)):
        files = sorted(side.iterdir())[half::2]
        images = torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in files])
        metric.update(images.permute(0, 3, 1, 2), real=real, index=torch.arange(len(files)) * 2 + half)
    metric.save_state(path)
    return path


def test_merged_states_score_as_all_samples_do(sides: tuple[Path, Path], tmp_path: Path) -> None:
    halves = [saved_half(sides, tmp_path / f"{half}", half, FID(), PRDC(k=3)) for half in (0, 1)]
    expected = scores_of(*sides, *TINY, "--measures", "fid,prdc(k=3)")
    merged = done("merge", *halves, "-o", tmp_path / "all").stdout
    assert expected["signature"] in merged
    for key, value in expected["scores"].items():
        assert f"{key}\t{value:.6g}" in merged
    assert done("merge", tmp_path / "all", "-o", tmp_path / "again").stdout == merged
    assert "real\t40" in done("show", tmp_path / "all").stdout


def test_merge_writes_what_does_not_suffice_for_scores(sides: tuple[Path, Path], tmp_path: Path) -> None:
    metric = GenerativeMetrics([FID()], patches())
    metric.save_state(tmp_path / "empty")
    result = run("merge", tmp_path / "empty", "-o", tmp_path / "out")
    assert result.exit_code == 4
    assert "not scored: fid: FID needs at least 2 real samples, got 0" in result.stderr
    assert (tmp_path / "out").exists()
    other = saved_half(sides, tmp_path / "other", 0, PRDC(k=3))
    refused = run("merge", tmp_path / "empty", other, "-o", tmp_path / "never")
    assert refused.exit_code == 3
    assert "same measures" in refused.stderr
    assert not (tmp_path / "never").exists()


def test_states_that_counted_against_a_reference_merge_with_it(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("reference", sides[0], "-o", tmp_path / "saved", *TINY, "--measures", "prdc(k=3)")
    files = sorted(sides[1].iterdir())
    images = torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in files]).permute(0, 3, 1, 2)
    for half in (0, 1):
        metric = GenerativeMetrics([PRDC(k=3, recall=False)], patches(), reference=tmp_path / "saved")
        metric.update(images[half::2], real=False)
        metric.save_state(tmp_path / f"{half}")
    arguments = ["merge", tmp_path / "0", tmp_path / "1", "-o", tmp_path / "all", "--reference", tmp_path / "saved"]
    expected = scores_of(*sides, *TINY, "--measures", "prdc(k=3)")["scores"]["density_patches"]
    assert f"density_patches\t{expected:.6g}" in done(*arguments).stdout


LINE = "fid+kid|ext:inception-v3-6726825d|resize:clean-299|real:50000|fake:10000|fp32|v0.1.0"


@pytest.mark.parametrize(
    ("old", "new", "exit_code", "what"),
    [
        ("v0.1.0", "v0.1.0", 0, ""),
        ("v0.1.0", "v0.2.0", 0, "note\tversion\t0.1.0\t0.2.0"),
        ("fid+kid", "fid", 0, "note\tkid\tkid\t?"),
        ("+kid", "+kid(subset_size=50)", 1, "differs\tkid\tkid\tkid(subset_size=50)"),
        ("6726825d", "00000000", 1, "differs\textractor\tinception-v3-6726825d\tinception-v3-00000000"),
        ("clean", "tf1-bilinear", 1, "differs\tresize\tclean-299\ttf1-bilinear-299"),
        ("real:50000", "real:50001", 1, "differs\treal\t50000\t50001"),
        ("real:50000", "real:npz-0011aabb", 1, "differs\treal\t50000\tnpz-0011aabb"),
        ("fake:10000", "fake:50000", 1, "differs\tfake\t10000\t50000"),
        ("fp32", "bf16", 1, "differs\tprecision\tfp32\tbf16"),
        ("fid+kid", "is", 1, "differs\tmeasures\tfid+kid\tis\nnote\tfid\tfid\t?\nnote\tkid\tkid\t?\nnote\tis\t?\tis"),
    ],
)
def test_diff_flags_what_matters(old: str, new: str, exit_code: int, what: str) -> None:
    result = run("diff", LINE, LINE.replace(old, new))
    assert result.exit_code == exit_code
    assert result.stdout.strip() == what


def test_diff_tells_data_sets_apart(sides: tuple[Path, Path], tmp_path: Path) -> None:
    third = folder(tmp_path / "third", noises(40, 2))
    files = {"a": sides, "b": (sides[0], folder(tmp_path / "other", noises(30, 3))), "c": (third, sides[1])}
    for name, (real, fake) in files.items():
        done("compare", real, fake, *TINY, "--json", tmp_path / f"{name}.json")
    done("reference", third, "-o", tmp_path / "third.safetensors", *TINY)
    same_real = run("diff", tmp_path / "a.json", tmp_path / "b.json")
    assert same_real.exit_code == 0
    assert "note\tfake data" in same_real.stdout
    for other in ("c.json", "third.safetensors"):
        found = run("diff", tmp_path / "a.json", tmp_path / other)
        assert found.exit_code == 1
        assert "differs\treal data" in found.stdout


def test_measures_and_extractors_are_listed() -> None:
    assert "prdc\tk, variant, recall, f1, capacity, se, both\tprecision↑" in done("measures").stdout
    listed = done("extractors").stdout
    assert "inception-v3\tfetched once, or --weights" in listed
    assert "low-level\tnone" in listed
    assert "torch-bilinear" in listed


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["compare", "real"], 2, "Missing argument"),
        (["compare", "real", "fake", "--measures", "fib"], 2, "Did you mean 'fid'"),
        (["compare", "real", "fake", "--measures", "prdc(k=0)"], 2, "expected at least 1"),
        (["compare", "real", "fake", "--measures", "prdc(n=3)"], 2, "Unknown parameter of prdc"),
        (["compare", "real", "fake", "--measures", "fid)"], 2, "expected a list like"),
        (
            ["compare", "real", "fake", *TINY, "--measures", "cas(classes=2)"],
            3,
            "class of every image, as a measure reads",
        ),
        (["compare", "real", "fake", "--measures", "fid(captions=True)"], 2, "fid, which reads captions"),
        (["compare", "real", "fake", "--measures", "fid,authpct"], 2, "authpct, which reads training images"),
        (["reference", "real", "-o", "out", "--measures", "nnaa(privacy=True)"], 2, "reads training images"),
        (["compare", "real", "fake", "--batch-size", "0"], 2, "batch-size"),
        (["compare", "real", "none"], 3, "found nothing at"),
        (["compare", "real", "fake", "--extractor", "inception-v4"], 3, "Did you mean 'inception-v3'"),
        (["compare", "real", "fake", "--extractor", "test_cli:none"], 3, "test_cli:none"),
        (["compare", "real", "fake", "--extractor", "efficientnet-lite0", "--resize", "clean"], 3, "takes no resize"),
        (["compare", "real", "fake", *TINY, "--num-samples", "35"], 3, "expected 1 to 30"),
        (["compare", "real", "fake", *TINY, "--measures", "kid"], 4, "KID needs at least 1000 real samples, got 40"),
        (["compare", "real", "fake", *TINY, "--json", "none/out.json"], 3, "can be written"),
        (["reference", "real", "-o", "none/out", *TINY], 3, "can be written"),
        (["merge", "none", "-o", "out"], 3, "found none at"),
        (["show", "none"], 3, "got 'none'"),
        (["diff", LINE, "fid|ext:x"], 3, "Expected a signature like"),
    ],
)
def test_errors_have_the_documented_exit_code(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], exit_code: int, said: str
) -> None:
    monkeypatch.chdir(sides[0].parent)
    result = run(*arguments)
    assert result.exit_code == exit_code, result.output
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert {path.name for path in Path().iterdir()} == {"real", "fake"}


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_are_listed(sides: tuple[Path, Path], workers: int) -> None:
    whole = (sides[1] / "001.png").read_bytes()
    broken = {"001.png": whole[:50], "007.png": b"", "011.png": b"no image"}
    for name, content in broken.items():
        (sides[1] / name).write_bytes(content)
    failed = run("compare", *sides, *TINY, "--workers", workers)
    assert failed.exit_code == 3
    assert [name in failed.stderr for name in broken] == [False, True, True]  # the header of the first reads
    (sides[1] / "007.png").write_bytes(whole)
    (sides[1] / "011.png").write_bytes(whole)
    assert "001.png: " in run("compare", *sides, *TINY, "--workers", workers).stderr
    for name, content in broken.items():
        (sides[1] / name).write_bytes(content)
    result = scores_of(*sides, *TINY, "--workers", workers, "--on-error", "skip")
    assert [Path(name).name for name, _ in result["fake"]["unreadable"]] == list(broken)
    assert result["fake"]["num_samples"] == 27
    assert "|fake:27|" in result["signature"]


@pytest.mark.parametrize("kind", ["reference", "npz", "state", "json", "zip", "tar"])
@pytest.mark.parametrize(
    "keep", [0, pytest.param(30, marks=pytest.mark.slow), 0.4, pytest.param(0.7, marks=pytest.mark.slow)]
)
def test_truncated_files_have_the_documented_exit_code(
    sides: tuple[Path, Path], tmp_path: Path, kind: str, keep: float
) -> None:
    path = tmp_path / {"npz": "x.npz", "json": "x.json", "zip": "x.zip", "tar": "x.tar"}.get(kind, kind)
    if kind in ("reference", "npz"):
        done("reference", sides[0], "-o", path, *TINY)
    elif kind == "state":
        saved_half(sides, path, 0, FID())
    elif kind == "json":
        done("compare", *sides, *TINY, "--json", path)
    else:
        subprocess.run([sys.executable, "-m", f"{kind}file", "-c", str(path), str(sides[0])], check=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep if keep > 1 else keep * len(whole))])
    command = {"state": ["merge", path, "-o", tmp_path / "out"], "json": ["show", path]}
    result = run(*command.get(kind, ["compare", path, sides[1], *TINY]))
    assert result.exit_code == 3, result.output
    assert path.name in result.stderr
    assert "xpected" in result.stderr


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_scores_are_refused_or_still_scores(tmp_path: Path, data: st.DataObject) -> None:
    origin = Origin("here", 9, [("a.png", "truncated")], "1f2e")
    whole = Scores({"fid": 1.5}, LINE, origin, origin, ["few samples"]).to_json().encode()
    position = data.draw(st.integers(0, len(whole) - 1), label="position")
    flipped = bytearray(whole)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    (tmp_path / "x.json").write_bytes(flipped)
    assert run("show", tmp_path / "x.json").exit_code in (0, 3)


class Interrupting(list[Any]):
    def __getitem__(self, i: Any) -> Any:
        if i == 5:
            raise KeyboardInterrupt
        return super().__getitem__(i)


INTERRUPTING = Interrupting([torch.zeros(3, 8, 8, dtype=torch.uint8)] * 9)


def test_an_interrupt_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text("as it was")
    assert run("reference", "test_cli:INTERRUPTING", "-o", tmp_path / "out", *TINY).exit_code == 130
    real = folder(tmp_path / "real", noises(4, 0))
    monkeypatch.setattr("safetensors.torch.save_file", interrupted)
    assert run("reference", real, "-o", tmp_path / "out", *TINY, "--measures", "fid").exit_code == 130
    assert (tmp_path / "out").read_text() == "as it was"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "real"}


def interrupted(_tensors: Any, path: Path, **_options: Any) -> None:
    Path(path).write_bytes(b"half")
    raise KeyboardInterrupt


def test_a_measure_of_ones_own_is_named_by_its_module(sides: tuple[Path, Path], tmp_path: Path) -> None:
    measures = "fid,test_cli:RootFID(power=0.25)"
    done("compare", *sides, *TINY, "--measures", measures, "--json", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert scores["root_fd_patches"] == pytest.approx(scores["fd_patches"] ** 0.25)


@pytest.mark.parametrize(
    ("named", "match"),
    [("test_cli:Absent", "no attribute|cannot import|Absent"), ("test_cli:patches", "a subclass of Measure")],
)
def test_what_is_no_measure_of_ones_own_is_refused(named: str, match: str, sides: tuple[Path, Path]) -> None:
    result = run("compare", *sides, *TINY, "--measures", named)
    assert result.exit_code == 2
    assert re.search(match, " ".join(re.sub("[^ -~]", " ", result.output).split()))
