"""``explain``: from folders to a table, JSON and a page, with the networks that there are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from doctor_cases import as_jpeg, crops, described
from PIL import Image
from reference_weights import write_reference_weights
from test_cli import done, run
from typer.testing import CliRunner

from streaming_metrics.cli.explain_table import bar, show_explanation
from streaming_metrics.cli.explaining import classes_of
from streaming_metrics.doctor.explanation import KIND
from streaming_metrics.images import Images

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SMALL = ["--extractor", "test_explain:described", "--workers", "0", "--quiet"]
pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
__all__ = ["described"]


def saved(images: Tensor, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for place, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{place:03}.png")
    return folder


class Floats:
    """Images as a model makes them, in [-1, 1]."""

    def __init__(self) -> None:
        self.images = crops(64, seed=2)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        noise = torch.rand(self.images[place].shape, generator=torch.Generator().manual_seed(place))
        return ((self.images[place] + noise - 0.5) / 127.5 - 1).clamp(-1, 1), 0


def floats() -> Floats:
    return Floats()


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("sides")
    return saved(crops(64, seed=1), root / "real"), saved(as_jpeg(crops(64, seed=2), 75), root / "fake")


def explained(*arguments: Any) -> dict[str, Any]:
    return json.loads(done("explain", *arguments, "--json", "-").stdout)


def faults(found: dict[str, Any]) -> set[str]:
    return {check["name"] for check in found["checks"] if check["verdict"] == "fault"}


def test_a_table_a_file_and_a_page_say_the_same(sides: tuple[Path, Path], tmp_path: Path) -> None:
    page, file = tmp_path / "page.html", tmp_path / "found.json"
    shown = done("explain", *sides, *SMALL, "--claim", 0.03, "--report", page, "--json", file).stdout
    found = json.loads(file.read_text())
    assert found["kind"] == KIND
    assert faults(found) == {"compression"}
    assert [one["name"] for one in found["protocols"]] == ["as given", "half of N", "divided by N"]
    value = f"{found['protocols'][0]['value']:.5g}"
    text = page.read_text()
    for said in (value, "JPEG on one side", "The claim: 0.03", "<svg", found["claim"][0]["name"]):
        assert said in text, said
    assert f"as given\t{value}\t64\town" in shown
    assert "✗ FAULT: compression" in shown
    assert shown.index("FAULT") < shown.index("✓ fine")
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize("width", [60, 140])
def test_no_digit_is_lost_in_a_narrow_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("NO_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", str(width))):
        monkeypatch.setenv(name, value)
    protocol = {"num_samples": 300, "resize": "tf1-bilinear", "quantisation": "rounded", "precision": "fp32"}
    one = {**protocol, "name": "torchmetrics < 1.8", "value": 0.2091512, "reference": "images", "ddof": 1}
    step = {"factor": "resize", "before": "tf1-bilinear", "after": "clean", "value": 0.31, "change": 0.1, "share": 1.0}
    ends = {"first": one["name"], "last": "clean-fid", "start": one["value"], "end": 0.31, "steps": [step]}
    score = {"measure": "fd_efficientnet_lite0", "error": 0.1, "corrected": None, "value": 0.2, "extractor": "x"}
    sides: dict[str, Any] = {side: {"num_samples": 300} for side in ("real", "fake")}
    found = {**score, **sides, "protocols": [one, one | {"resize": "clean"}], "waterfall": ends, "claim": None}
    with CliRunner().isolation() as (out, *_):
        show_explanation({**found, "checks": [], "notes": [], "warnings": []})
        told = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue().decode())
    assert (told.count("0.20915"), "…" in told, "█" in told) == (3, False, width > 100)
    assert ("precision fp32" in told) == (width < 100)
    assert max(map(len, told.splitlines())) <= width


def test_the_value_is_that_of_compare_and_its_signature_too(sides: tuple[Path, Path]) -> None:
    found = explained(*sides, *SMALL)
    compared = json.loads(done("compare", *sides, *SMALL, "--json", "-").stdout)
    first = found["protocols"][0]
    assert {found["measure"]: pytest.approx(first["value"], rel=1e-9)} == compared["scores"]
    assert first["signature"] == compared["signature"]
    assert found["real"] == compared["real"]


def test_steps_go_between_the_protocols_asked_for(sides: tuple[Path, Path]) -> None:
    found = explained(*sides, *SMALL, "--from", "as given", "--to", "divided by N")["waterfall"]
    assert [step["factor"] for step in found["steps"]] == ["covariance divisor"]
    assert found["end"] == pytest.approx(found["start"] + found["steps"][0]["change"])


def test_floats_are_rounded_by_every_rule_in_one_decoding(sides: tuple[Path, Path]) -> None:
    found = explained(sides[0], "test_explain:floats", *SMALL, "--value-range=-1,1")
    values = {one["name"]: one["value"] for one in found["protocols"]}
    assert values["truncated"] != pytest.approx(values["as given"], rel=1e-3)
    refused = run("explain", sides[0], "test_explain:floats", *SMALL)
    assert (refused.exit_code, "Remedy: --value-range" in refused.stderr) == (3, True)


def test_a_reference_stands_beside_the_real_images(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("reference", sides[0], "-o", tmp_path / "own.npz", "--measures", "fid", *SMALL)
    found = explained(*sides, *SMALL, "--reference", tmp_path / "own.npz")
    values = {one["name"]: one["value"] for one in found["protocols"]}
    assert values["reference file"] == pytest.approx(values["as given"], rel=1e-9)
    assert next(c["verdict"] for c in found["checks"] if c["name"] == "reference") == "fine"
    done("reference", sides[1], "-o", tmp_path / "other.npz", "--measures", "fid", *SMALL)
    np.savez(tmp_path / "narrow.npz", mu=np.zeros(3), sigma=np.eye(3))
    for file, told in (("narrow.npz", "expected the statistic 'moments_16'"), ("none.npz", "found none")):
        refused = run("explain", *sides, *SMALL, "--reference", tmp_path / file)
        assert (refused.exit_code, told in refused.stderr) == (3, True), refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--from", "pytorchfid"], 3, "Unknown protocol 'pytorchfid'"),
        (["--claim", "-3"], 3, "expected a distance, 0 or more, got -3"),
        (["--num-samples", "3"], 4, "at least 4 images of each side, got 3 real and 3 generated"),
        (["--value-range", "1,0"], 3, "two numbers, low < high"),
        (["--batch-size", "0"], 2, "'--batch-size'"),
        (["--reference", "nowhere.npz"], 3, "nowhere.npz"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(sides: tuple[Path, Path], arguments: list[str], code: int, told: str) -> None:
    refused = run("explain", *sides, *SMALL, *arguments)
    assert (refused.exit_code, told in refused.output) == (code, True), refused.output


def test_a_saved_reference_is_no_side(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("reference", sides[0], "-o", tmp_path / "own.npz", "--measures", "fid", *SMALL)
    refused = run("explain", tmp_path / "own.npz", sides[1], *SMALL)
    assert (refused.exit_code, "--reference for the file" in refused.stderr) == (3, True)


class Named(Images):
    def __init__(self, *paths: str) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, i: int) -> str:
        return self.paths[i]

    def path_below(self, i: int) -> str:
        return self.paths[i]

    def __getitem__(self, i: int) -> Tensor:
        raise NotImplementedError


def test_folders_are_classes_unless_they_are_shards_or_hold_a_part() -> None:
    assert classes_of(Named("cat/1.png", "cat/2.png", "dog/1.png")) == {"cat": 2, "dog": 1}
    assert classes_of(Named("3/1.png", "7/2.png")) == {"3": 1, "7": 1}
    assert classes_of(Named("00000/1.png", "00001/2.png")) == {}
    assert classes_of(Named("cat/1.png", "2.png")) == classes_of(Named("all/1.png", "all/2.png")) == {}


def test_bars_of_a_waterfall_stand_where_their_values_are() -> None:
    assert bar(8, 8, most=8) == " " * 31 + "█"
    assert bar(2, 1, most=8) == bar(1, 2, most=8) == "    ████"


@pytest.mark.slow
def test_efficientnet_end_to_end(sides: tuple[Path, Path], tmp_path: Path) -> None:
    arguments = ["--extractor", "efficientnet-lite0", "--workers", 0, "--quiet", "--num-samples", 24]
    found = explained(*sides, *arguments, "--report", tmp_path / "page.html")
    assert [one["name"] for one in found["protocols"]] == ["antialias", "no antialias", "half of N", "divided by N"]
    assert faults(found) == {"compression", "number"}
    assert next(c for c in found["checks"] if c["name"] == "weights")["verdict"] == "fine"
    compared = json.loads(done("compare", *sides, *arguments, "--json", "-").stdout)
    assert compared["scores"] == {found["measure"]: pytest.approx(found["protocols"][0]["value"], rel=1e-5)}


@pytest.mark.slow
def test_every_protocol_of_inception_is_that_of_its_resize(sides: tuple[Path, Path], tmp_path: Path) -> None:
    weights = write_reference_weights(tmp_path / "weights.pth")
    arguments = ["--extractor", "inception-v3", "--weights", weights, "--workers", 0, "--quiet", "--num-samples", 8]
    found = explained(*sides, *arguments)
    assert "weights" in faults(found)
    values = {one["name"]: one["value"] for one in found["protocols"]}
    for name, resize in (("pytorch-fid", "torch-bilinear"), ("clean-fid", "clean")):
        compared = json.loads(done("compare", *sides, *arguments, "--resize", resize, "--json", "-").stdout)
        assert compared["scores"] == {"fd_inception_v3": pytest.approx(values[name], rel=1e-4)}
