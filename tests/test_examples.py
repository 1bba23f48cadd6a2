"""The examples, run in their short form: each ends without a warning and prints numbers of what it was given."""

from __future__ import annotations

import math
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:.*srun.*command is available"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What examples write goes to a folder of its own, and what Lightning notes in the environment goes away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")


def printed_by(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run an example in this process, which has imported what takes it longest."""
    before = sys.argv
    with torch.random.fork_rng():
        sys.argv = [f"{name}.py", "--short"]
        try:
            runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        finally:
            sys.argv = before
    return capsys.readouterr().out


def values_of(key: str, text: str) -> list[float]:
    """Return the numbers that stand behind a key, in the order of the page; all are finite."""
    found = [float(value) for value in re.findall(rf"{key}'?:? +(-?[0-9.]+|nan|inf)", text)]
    assert all(math.isfinite(value) for value in found), text
    return found


def test_features_only(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_by("features_only", capsys)
    rows = {line.split()[0]: [float(value) for value in line.split()[1:]] for line in text.splitlines()[:-1]}
    assert rows["noise"] == [0, 0.3]
    assert 0 <= rows["fd_features"][0] < rows["fd_features"][1]
    assert rows["precision_features"][0] > 0.9 > rows["precision_features"][1]
    assert rows["recall_features"][0] < rows["recall_features"][1] <= 1
    assert "|real:899|fake:898|" in text


def test_own_measure(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_by("own_measure", capsys)
    all_digits, few_digits = values_of("class_gap_features", text)
    assert 0 <= all_digits < 0.05
    assert few_digits == pytest.approx(0.3, abs=0.05)  # three digits of ten have no sample
    assert text.splitlines()[-1].startswith("fid+class_gap|")


def test_lightning_gan(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_by("lightning_gan", capsys)
    last, best = values_of("val/fd_pixels", text)[-2:]
    assert 0 < best <= last
    checkpoint = torch.load("runs/gan/best.ckpt", weights_only=False)
    noted = next(state for key, state in checkpoint["callbacks"].items() if key.startswith("ModelCheckpoint"))
    assert noted["best_model_score"].item() == pytest.approx(best, abs=1e-4)
    assert "|real:1797|fake:1797|" in text


def test_diffusion_ema(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_by("diffusion_ema", capsys)
    averaged, raw = (values_of(f"'{prefix}/fd_pixels", text)[-1] for prefix in ("ema", "raw"))
    assert min(averaged, raw) > 0
    assert averaged != raw
    assert text.count("|real:1797|fake:512|") == 2
    page = Path("runs/diffusion/report.html").read_text()
    assert "fd ema from" in page
    assert "fd raw from" in page


def test_checkpoints(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as left:
        printed_by("checkpoints", capsys)
    assert not left.value.code
    text = capsys.readouterr().out
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in text.splitlines() if "\t" in line}
    assert list(rows) == ["checkpoint", "epoch=1", "epoch=2", "epoch=3", "best"]
    assert rows["best"][0] == "epoch=3"
    assert "fd_pixels: epoch=3 is better than epoch=1 by" in text
    assert "|real:1797|fake:512|" in text
    assert "epoch by epoch" in Path("runs/checkpoints/report.html").read_text()


def test_reconstruction(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_by("reconstruction", capsys)
    last, best = values_of("val/psnr", text)[-2:]
    assert 12 < last == best  # dB; of the mean digit, 11.3
    assert 0 < values_of("val/ssim", text)[-1] < 1
    assert "|real:1797|fake:1797|" in text


def learns(text: str) -> None:
    """Two epochs: the second is nearer to the digits, and every digit is counted once."""
    first, second = values_of("fd_pixels", text)
    assert 0 < second < first
    assert text.splitlines()[-1].startswith("fid+prdc(k=5)|")
    assert "|real:1797|fake:1797|" in text


@pytest.mark.parametrize("name", ["fabric", "accelerate_loop"])
def test_loops_of_ones_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    learns(printed_by(name, capsys))


@pytest.mark.slow
def test_ddp_torchrun() -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, str(EXAMPLES / "ddp_torchrun.py"), "--short"]
    told = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONWARNINGS": "error::UserWarning"}
    where = os.environ | told | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=where, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    learns(done.stdout)


def test_every_example_is_run() -> None:
    run = {
        "features_only",
        "own_measure",
        "lightning_gan",
        "diffusion_ema",
        "checkpoints",
        "fabric",
        "accelerate_loop",
        "reconstruction",
    }
    assert {path.stem for path in EXAMPLES.glob("*.py")} == run | {"ddp_torchrun"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_says_how_to_run_it(path: Path) -> None:
    assert f"examples/{path.name}" in path.read_text().split('"""')[1]
