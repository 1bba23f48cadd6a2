"""The commands `study new`, `serve` and `export` as users run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from streaming_metrics import cli
from streaming_metrics.study.plan import StudyPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

TORCHLESS = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "lightning", "torchmetrics"}:
            raise ImportError(f"{name} was imported")
sys.meta_path.insert(0, Refuse())
from streaming_metrics.cli import app
app()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for start, name in enumerate(["digits", "samples/epoch=00-step=5", "samples/epoch=01-step=10"]):
        Path(name).mkdir(parents=True)
        for k in range(24):
            Image.fromarray(np.full((8, 8, 3), 10 * start + k, np.uint8)).save(Path(name, f"{k:04d}.png"))
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["study", *map(str, arguments)])


def said(result: Result) -> str:
    return " ".join(result.stderr.replace("│", " ").split())


def test_a_new_study_of_epochs_reads_as_a_plan(here: Path) -> None:
    done = run("new", "study.toml", "real=digits", "--epochs", "samples", "--kind", "preference,opinion", "--seed", 3)
    assert done.exit_code == 0, done.output
    assert "study.toml is written" in done.stdout
    plan = StudyPlan.read(here / "study.toml")
    assert plan.conditions == {
        "real": "digits",
        "epoch-00": "samples/epoch=00-step=5",
        "epoch-01": "samples/epoch=01-step=10",
    }
    assert ([task.kind for task in plan.tasks], plan.seed) == (["preference", "opinion"], 3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["new"], 2, "Missing argument"),
        (["new", "s.toml", "digits"], 2, "expected CONDITION=SOURCE, e.g. real=images/, got 'digits'"),
        (["new", "s.toml", "a=digits", "a=samples"], 2, "expected each condition once, got a again"),
        (["new", "s.toml", "a=digits", "--kind", "liking"], 2, "expected some of preference, opinion"),
        (["new", "s.toml", "--epochs", "samples", "--most", "0"], 2, "most"),
        (["new", "s.toml", "a=none"], 3, "found none at none"),
        (["new", "s.toml", "--epochs", "digits"], 3, "keep_samples"),
        (["new", "s.toml", "a=digits", "--kind", "alignment"], 3, "expected prompts to align with"),
        (["new", "none/s.toml", "a=digits"], 3, "can be written"),
        (["serve", "s.toml"], 3, "expected a study's plan, found no file s.toml. Remedy"),
        (["serve", "s.toml", "--port", "70000"], 2, "port"),
        (["export", "s.toml"], 2, "Missing argument"),
    ],
)
def test_mistakes_have_the_documented_exit_code(here: Path, arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in said(result)
    assert {path.name for path in here.iterdir()} == {"digits", "samples"}


def test_a_plan_that_is_there_is_left_alone(here: Path) -> None:
    (here / "study.toml").write_text("mine")
    result = run("new", "study.toml", "a=digits")
    assert result.exit_code == 3
    assert "expected no file there" in said(result)
    assert (here / "study.toml").read_text() == "mine"


@pytest.mark.parametrize("command", [["study"], ["study", "new", "-h"], ["study", "serve", "--help"]])
def test_help_needs_no_torch(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", TORCHLESS, *command], capture_output=True, text=True, check=False)
    assert "Usage" in done.stdout + done.stderr
    assert "was imported" not in done.stderr


@contextmanager
def serving(*arguments: str, program: tuple[str, ...] = ("-m", "streaming_metrics")) -> Iterator[list[str]]:
    """Run ``study serve`` until the block ends; yield what it said until the last link."""
    command = [sys.executable, *program, "study", "serve", *arguments, "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    interruptible: Any = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # whoever runs the tests
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **interruptible
    ) as server:
        try:
            assert server.stdout
            lines: list[str] = []
            while not lines or "admin page" not in lines[-1]:
                line = server.stdout.readline()
                assert line, (lines, server.stderr.read() if server.stderr else "")
                lines.append(line.strip())
            yield lines
        finally:
            server.send_signal(signal.SIGINT)
            _, errors = server.communicate(timeout=20)
            assert "Traceback" not in errors


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def test_a_study_is_served_and_served_again_without_torch(here: Path) -> None:
    assert run("new", "study.toml", "real=digits", "--epochs", "samples", "--kind", "preference").exit_code == 0
    with serving("study.toml") as first:
        links = [line for line in first if line.startswith("rater ")]
        assert len(links) == 20
        assert re.search(r"admin page: http://127\.0\.0\.1:\d+/admin\?token=\S{20,}", first[-1])
        told = fetched(links[0].partition(": ")[2] + "session")
        assert told["total"] == 22
    (here / "digits").rename(here / "moved")
    with serving("study.toml", program=("-c", TORCHLESS)) as second:
        assert first[0] == second[0]  # name and digest
        assert "token" not in second[-1]
        again = [re.sub(r":\d+/", "/", line) for line in second if line.startswith("rater ")]
        assert again == [re.sub(r":\d+/", "/", line) for line in links]


@pytest.mark.slow
def test_a_port_that_is_taken_is_told(here: Path) -> None:
    assert run("new", "study.toml", "--epochs", "samples").exit_code == 0
    with serving("study.toml") as lines:
        port = re.search(r":(\d+)/", lines[-1])
        assert port
        result = run("serve", "study.toml", "--port", port[1])
    assert result.exit_code == 3
    assert "expected a free port" in said(result)
    assert here.joinpath("study.sqlite").exists()


def test_images_that_are_too_few_are_told_before_anything_is_served(here: Path) -> None:
    assert run("new", "study.toml", "--epochs", "samples", "--kind", "preference").exit_code == 0
    text = Path("study.toml").read_text().replace("per_rater = 20", "per_rater = 25")
    Path("study.toml").write_text(text)
    result = run("serve", "study.toml", "--port", 0)
    assert result.exit_code == 3
    assert "task preference: expected at most 24 trials a rater" in said(result)
    assert here.exists()


def test_an_exported_study_is_the_one_that_is_served(here: Path) -> None:
    pytest.importorskip("streaming_metrics.study.export", reason="the page's branch is not merged yet")
    assert run("new", "study.toml", "--epochs", "samples", "--kind", "preference").exit_code == 0
    done = run("export", "study.toml", "out", "--raters", 3)
    assert done.exit_code == 0, done.output
    assert "20 trials a rater, 3 raters" in done.stdout
    assert (here / "out" / "index.html").exists()
    with serving("study.toml") as lines:
        assert lines[0].partition(":")[0] == done.stdout.partition(":")[0]
    assert run("export", "study.toml", "out").exit_code == 3
