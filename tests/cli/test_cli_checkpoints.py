"""Checkpoints on the command line: each scores as its images in a folder do, and what is scored stays scored."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from test_cli import TINY, done, folder, noises, run, scores_of
from torch import Tensor, nn

from streaming_metrics.cli.checkpoints import Checkpoints, score_checkpoints
from streaming_metrics.cli.reading import ImageReader
from streaming_metrics.cli.scored_before import identities
from streaming_metrics.cli.scoring import Job, Network
from streaming_metrics.cli.several import Wanted
from streaming_metrics.cli.several_results import SeveralResults
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.images import imported
from streaming_metrics.images.encode import png_of
from streaming_metrics.images.generated import Drawing, Generated

if TYPE_CHECKING:
    from conftest import Ranks

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
HERE, COUNT, BATCH = "test_cli_checkpoints:", 30, 8
LOADED: list[str] = []
"""Names of the checkpoints that were loaded, in that order."""
NAMED = {"sampler": "mine.py", "weights": "weights.pth", "reference": "real.npz"}


class Brightened(nn.Module):
    """Noise, brightened as a training goes on; it keeps a generator of its own and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(0.0))
        self.own = torch.Generator()

    def sample(self, n: int) -> Tensor:
        assert not self.training
        drawn = torch.rand(n, 3, 8, 8) + torch.rand(n, 3, 8, 8, generator=self.own)
        return drawn * (0.5 - self.shift / 2) + self.shift


def load(path: str, device: str) -> nn.Module:
    assert device == "cpu"
    LOADED.append(Path(path).stem)
    model = Brightened()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


def plain(path: str) -> Any:
    return load(path, "cpu").eval().sample


def bare(path: str) -> Any:  # noqa: ARG001
    return nn.Flatten()


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, str]:
    """Return a folder of real images, and the pattern of three checkpoints, the second of which is the best."""
    LOADED.clear()
    (tmp_path / "runs").mkdir()
    for epoch, shift in ((9, 0.4), (10, 0.05), (100, 0.3)):
        save(tmp_path / "runs" / f"epoch={epoch}.ckpt", shift)
    return folder(tmp_path / "real", noises(40, 0)), f"{tmp_path}/runs/*.ckpt"


def save(path: Path, shift: float) -> None:
    torch.save({"shift": torch.tensor(shift)}, path)


def options(pattern: str, *more: Any, sampler: str = "load") -> list[Any]:
    counts = ["--num-generated", COUNT, "--batch-size", BATCH]
    return ["--checkpoints", pattern, "--sampler", HERE + sampler, *counts, *TINY, *more]


def written(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_each_checkpoint_scores_as_its_images_in_a_folder_do(trained: tuple[Path, str], tmp_path: Path) -> None:
    real, pattern = trained
    measures = ["--measures", "fid,prdc(k=3)"]
    done("compare", real, *options(pattern, *measures, "--json", tmp_path / "scores.json"))
    sides = written(tmp_path / "scores.json")["sides"]
    assert list(sides) == LOADED == ["epoch=9", "epoch=10", "epoch=100"]
    for name, one in sides.items():
        drawn = Generated(str(tmp_path / "runs" / f"{name}.ckpt"), plain, Drawing(COUNT, BATCH))
        images = torch.cat([images.pixels for images, _ in drawn.batches()])
        there = tmp_path / f"images {name}"
        there.mkdir()
        for number, image in enumerate(images):
            (there / f"{number:03}.png").write_bytes(png_of(image))
        expected = scores_of(real, there, *TINY, *measures, "--batch-size", BATCH)
        assert one["scores"] == pytest.approx(expected["scores"], rel=1e-9)
        assert (one["signature"], one["fake"]["data"]) == (expected["signature"], expected["fake"]["data"])
        assert torch.equal(drawn[COUNT - 1], images[-1])


def test_the_table_has_a_row_of_each_and_the_page_their_course(trained: tuple[Path, str], tmp_path: Path) -> None:
    real, pattern = trained
    told = done("compare", real, *options(pattern, "--test", "--report", tmp_path / "page.html"))
    rows = [line.split("\t") for line in told.stdout.splitlines()]
    assert [row[0] for row in rows[:5]] == ["checkpoint", "epoch=9", "epoch=10", "epoch=100", "best"]
    assert rows[4][1] == "epoch=10"
    assert "fd_patches: epoch=10 is better than epoch=9 by" in told.stdout
    page = (tmp_path / "page.html").read_text()
    assert "epoch by epoch" in page
    assert "epoch=10 is better than epoch=9" in page


def test_one_that_does_not_load_is_left_out_and_the_others_are_scored(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    real, pattern = trained
    (tmp_path / "runs" / "epoch=10.ckpt").write_bytes(b"half a file")
    json_file = tmp_path / "scores.json"
    result = run("compare", real, *options(pattern, "--json", json_file, "--report", tmp_path / "page.html"))
    assert result.exit_code == 3
    assert re.search(r"1 of 3 checkpoints are left out:\n  epoch=10: \w+Error: ", result.stderr)
    assert list(written(json_file)["sides"]) == ["epoch=9", "epoch=100"]
    assert list(SeveralResults.load(json_file).left_out) == ["epoch=10"]
    assert "left out" in (tmp_path / "page.html").read_text()
    save(tmp_path / "runs" / "epoch=10.ckpt", 0.05)
    LOADED.clear()
    told = done("compare", real, *options(pattern, "--json", json_file))
    assert LOADED == ["epoch=10"]
    assert f"note: scored before, in {json_file}: epoch=9, epoch=100" in told.stderr
    assert list(written(json_file)["sides"]) == ["epoch=9", "epoch=10", "epoch=100"]
    assert "left_out" not in written(json_file)


@pytest.mark.parametrize("change", ["sampler", "weights", "reference", "skip", "nothing"])
def test_files_that_a_run_names_decide_whether_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "mine", None)  # put back afterwards
    del sys.modules["mine"]
    files = {what: tmp_path / name for what, name in NAMED.items()}
    files["sampler"].write_text("def load(path): ...")
    files["weights"].write_bytes(b"weights")
    np.savez(files["reference"], arr_0=np.zeros((2, 8, 8, 3), np.uint8), mu=np.zeros(3), sigma=np.eye(3))
    imported("mine:load")
    job = Job(Network("vgg16", str(files["weights"])), "fid", Comm.single())

    def identity(job: Job) -> str:
        return identities(job, f"{files['reference']}:mu", "mine:load", Drawing(), {"a": str(tmp_path / "a")})["a"].run

    before = identity(job)
    if change == "skip":
        job = replace(job, reading=ImageReader(skip=True))
    elif change in files:
        os.utime(files[change], (1, 1))
    assert (identity(job) == before) == (change == "nothing")


def test_what_was_scored_otherwise_is_scored_again(trained: tuple[Path, str], tmp_path: Path) -> None:
    real, pattern = trained
    kept = ["--json", tmp_path / "scores.json"]

    def loaded(*more: Any) -> list[str]:
        LOADED.clear()
        done("compare", real, *options(pattern, *kept, *more))
        return list(LOADED)

    every = loaded()
    assert loaded() == []
    save(tmp_path / "runs" / "epoch=9.ckpt", 0.1)
    assert loaded() == ["epoch=9"]
    assert loaded("--seed", 1) == every
    assert loaded("--seed", 1, "--measures", "fid,prdc(k=3)") == every
    noises(1, 7)[0].save(real / "one more.png")
    assert loaded("--seed", 1, "--measures", "fid,prdc(k=3)") == every


def test_a_run_that_is_stopped_has_written_what_it_scored(
    trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pattern = trained

    def stop(path: str) -> Any:
        if Path(path).stem == "epoch=100":
            raise KeyboardInterrupt
        return plain(path)

    monkeypatch.setitem(globals(), "stop", stop)
    assert run("compare", real, *options(pattern, "--json", tmp_path / "scores.json", sampler="stop")).exit_code == 130
    assert list(written(tmp_path / "scores.json")["sides"]) == ["epoch=9", "epoch=10"]


def scored(_: Any, real: str, pattern: str, path: str) -> tuple[str, str]:
    """Return what a rank prints, and the error that it ends with."""
    comm, said = Comm(timeout=60), io.StringIO()
    job = Job(Network("test_cli:patches", device="cpu"), "fid,prdc(k=3)", comm, ImageReader(BATCH, 0), errors=True)
    checkpoints = Checkpoints(pattern, HERE + "load", Drawing(COUNT, BATCH))
    try:
        with redirect_stdout(said), redirect_stderr(io.StringIO()):
            score_checkpoints(job, real, checkpoints, Wanted(test=True, json=Path(path)), print)
    except ValueError as error:
        return said.getvalue(), str(error)
    return said.getvalue(), ""


def test_ranks_give_the_scores_of_one_process(trained: tuple[Path, str], tmp_path: Path, ranks: Ranks) -> None:
    real, pattern = trained
    (tmp_path / "runs" / "epoch=11.ckpt").write_bytes(b"half a file")
    alone = scored(None, str(real), pattern, str(tmp_path / "alone.json"))
    first, *others = ranks.run(len(ranks.pipes), scored, str(real), pattern, str(tmp_path / "both.json"))
    assert alone[1].startswith("1 of 4 checkpoints are left out:\n  epoch=11: ")
    assert first == alone
    assert set(others) == {("", alone[1])}
    one, both = (written(tmp_path / f"{name}.json")["sides"] for name in ("alone", "both"))
    for name in one:
        assert both[name]["scores"] == pytest.approx(one[name]["scores"], rel=1e-9)
        assert both[name]["fake"] == one[name]["fake"]


def test_floats_of_another_range_are_warned_of(trained: tuple[Path, str]) -> None:
    real, pattern = trained
    told = done("compare", real, *options(pattern, "--sample-range", "-1,1"))
    assert "epoch=9.ckpt: The generated images never leave the upper half of sample_range=(-1, 1)" in told.stderr


MISTAKES: dict[str, tuple[list[Any], int, str]] = {
    "neither": ([], 2, "Missing argument FAKES"),
    "no sampler": (["--checkpoints", "*.ckpt"], 2, "together"),
    "both": (["a", "--checkpoints", "*.ckpt", "--sampler", "x:y"], 2, "in quotes"),
    "no checkpoint": (options("nowhere/*.ckpt"), 3, "expected files or folders like 'nowhere/[*].ckpt', found none"),
    "no module": (["--checkpoints", "{}", "--sampler", "nowhere:load"], 3, "got 'nowhere:load': No module named"),
    "no function": (["--checkpoints", "{}", "--sampler", HERE + "COUNT"], 3, "expected a function .* got 30"),
    "nothing that draws": (options("{}", sampler="bare"), 3, "no checkpoint is scored:\n  .*ValueError: sampler: exp"),
    "a file that is read": (options("{}", "--json", "runs/epoch=9.ckpt"), 3, "expected a file to write, got one that"),
    "pairs": (options("{}", "--paired", "psnr"), 3, "--paired: expected generated sides that are kept"),
}


@pytest.mark.parametrize(("given", "code", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_told(
    given: list[Any], code: int, said: str, trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pattern = trained
    monkeypatch.chdir(real.parent)
    result = run("compare", real, *(pattern if one == "{}" else one for one in given), *TINY)
    assert result.exit_code == code
    told = " ".join(result.stderr.replace("│", " ").split())
    assert re.search(" ".join(said.split()), told), told
