"""What the command line says, and where: any encoding, terminals and logs, files of scores old and new, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from test_cli import HERE, LINE, TINY, done, folder, noises, run, scores_of
from test_report import Page
from trainings import REAL, monitor, validate
from typer.testing import CliRunner, Result

from streaming_metrics import PRDC, BiasWarning, cli
from streaming_metrics.cli.results import Origin
from streaming_metrics.cli.results import Result as Scores
from streaming_metrics.signature import library_version

OLD = """{
  "kind": "streaming-metrics scores 1",
  "scores": {"fid": 1.5, "kid": null},
  "signature": "fid+kid|ext:inception-v3-6726825d|resize:clean-299|real:50000|fake:10000|fp32|v0.1.0",
  "real": {"source": "real", "num_samples": 50000, "unreadable": [], "data": "1f2e"},
  "fake": {"source": "fake", "num_samples": 10000, "unreadable": [["fake/7.png", "truncated"]], "data": null},
  "warnings": ["FID: few samples."]
}
"""
"""As version 0.1.0 wrote it before fields were added."""


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return folder(tmp_path / "real", noises(40, 0)), folder(tmp_path / "fake", noises(30, 1))


def run_in(charset: str, *arguments: Any) -> Result:
    return CliRunner(charset=charset).invoke(cli.app, [str(argument) for argument in arguments])


# --- encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("charset", "terminal"), [("ascii", False), ("cp949", True), ("utf-8", True)])
def test_no_encoding_ends_in_a_traceback(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, charset: str, terminal: bool
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    strange = os.fsdecode(b"\xff\xfe") + "↓ é 한.png"
    (sides[1] / strange).write_bytes(b"no image")
    written = sides[0].parent / "x.json"
    options = [*TINY, "--measures", "fid,prdc(k=3)", "--on-error", "skip", "--json", written]
    result = run_in(charset, "compare", *sides, *options, "--report", written.with_suffix(".html"))
    assert result.exit_code == 0, result.output
    assert "no image of a known kind" in result.stderr
    for command in (["show", written], ["diff", written, written], ["--help"], ["compare", "-h"], ["extractors"]):
        result = run_in(charset, *command)
        assert result.exit_code == 0, result.output
    assert run_in(charset, "compare", sides[0].parent / strange, sides[1]).exit_code == 3
    assert json.loads(written.read_text())["fake"]["unreadable"][0][0].endswith(strange)
    assert "no image of a known kind" in written.with_suffix(".html").read_text(encoding="utf-8")


def test_a_process_with_another_encoding_shows_what_it_can(tmp_path: Path) -> None:
    origin = Origin("réel", 9)
    Scores({"fid": 1.5}, LINE, origin, origin, ["warned of ↓"]).save(tmp_path / "x.json")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, "-m", "streaming_metrics", "show", str(tmp_path / "x.json")]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert "warning\twarned of \\u2193" in finished.stdout
    assert "real source\tr\\xe9el" in finished.stdout


def test_a_pipe_that_is_closed_ends_it_without_a_word() -> None:
    command = [sys.executable, "-m", "streaming_metrics", "show", LINE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None
        shown.stdout.close()
        assert shown.stderr is not None
        assert (shown.stderr.read(), shown.wait()) == ("", 1)


# --- progress, notes, version -----------------------------------------------------------------------------------------


def test_off_a_terminal_progress_is_plain_lines(sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (ends := run("compare", *sides, *TINY, "--batch-size", 16)).stderr.index("real: 40 of 40 images, ")
    assert len(ends.stderr.splitlines()) == 2
    monkeypatch.setattr("streaming_metrics.cli.terminal.LINE_EVERY", 0.0)
    lines = done("compare", *sides, *TINY, "--batch-size", 16).stderr.splitlines()
    assert [line.split(" images")[0] for line in lines] == [
        *(f"real: {n} of 40" for n in (16, 32, 40)),
        *(f"generated: {n} of 30" for n in (16, 30)),
    ]


def test_quiet_leaves_scores_and_errors(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (sides[1] / "0.heic").write_bytes(b"")
    loud = done("compare", *sides, *TINY, "--json", tmp_path / "x.json")
    assert "left out: 1 .heic (not read)" in loud.stderr
    for flag in ("-q", "--quiet"):
        quiet = done("compare", *sides, *TINY, flag)
        assert quiet.stderr == ""
        assert quiet.stdout == loud.stdout
    assert done("reference", sides[1], "-o", tmp_path / "saved", *TINY, "-q").stderr == ""
    short = run("compare", *sides, *TINY, "--measures", "fid,kid", "-q")
    assert short.exit_code == 4
    assert short.stderr.startswith("streaming-metrics: not scored: kid")


def test_version_and_short_help() -> None:
    assert done("--version").stdout == f"streaming-metrics {library_version()}\n"
    assert done("-h").stdout == done("--help").stdout
    assert "--quiet" in done("compare", "-h").stdout


SLOW = """import time
print("starting", flush=True)
time.sleep(60)
"""


def test_an_interrupt_while_it_starts_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(SLOW)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(HERE.parent)])}
    command = [sys.executable, "-m", "streaming_metrics", "compare", "real", "fake"]
    interruptible: Any = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # whoever runs the tests
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **interruptible
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"starting\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"")


# --- files of scores --------------------------------------------------------------------------------------------------


def test_files_of_scores_without_the_new_fields_are_read(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(OLD)
    shown = done("show", tmp_path / "old.json").stdout
    for line in ("fid\t1.5", "kid\tnan", "real source\treal", "fake note\tleft out: fake/7.png: truncated"):
        assert line in shown
    assert "warning\tFID: few samples." in shown
    assert "date" not in shown
    assert done("diff", tmp_path / "old.json", LINE).stdout == "note\treal data\t1f2e\t?\n"


def test_show_tells_all_that_a_file_of_scores_holds(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (sides[1] / "0.heic").write_bytes(b"")
    arguments = ["compare", *sides, *TINY, "--measures", "fid,kid", "--json", tmp_path / "x.json"]
    assert run(*arguments).exit_code == 4
    read = json.loads((tmp_path / "x.json").read_text())
    shown = done("show", tmp_path / "x.json").stdout.splitlines()
    assert f"fd_patches\t{read['scores']['fd_patches']!r}" in shown
    assert f"fake source\t{sides[1]}" in shown
    assert "fake note\tleft out: 1 .heic (not read)" in shown
    assert f"date\t{read['date']}" in shown
    assert sum(line.startswith("not scored\tkid: KID needs at least 1000") for line in shown) == 1


def test_what_was_left_out_travels_with_a_reference(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (sides[0] / "0.heic").write_bytes(b"")
    (sides[0] / "007.png").write_bytes(b"no image")
    saved = tmp_path / "saved"
    done("reference", sides[0], "-o", saved, *TINY, "--on-error", "skip")
    shown = done("show", saved).stdout.splitlines()
    assert f"source\t{sides[0]}" in shown
    assert "note\tleft out: 1 .heic (not read)" in shown
    assert f"note\tleft out: {sides[0] / '007.png'}: no image of a known kind" in shown
    assert any(line.startswith("date\t") for line in shown)
    direct, through = (scores_of(real, sides[1], *TINY, "--on-error", "skip") for real in (sides[0], saved))
    assert through["real"] == direct["real"] | {"source": str(saved)}


def test_diff_shows_both_values_and_their_difference(sides: tuple[Path, Path], tmp_path: Path) -> None:
    for name, fake in (("a", sides[1]), ("b", folder(tmp_path / "other", noises(30, 2)))):
        done("compare", sides[0], fake, *TINY, "--json", tmp_path / f"{name}.json")
    a, b = (json.loads((tmp_path / f"{name}.json").read_text())["scores"]["fd_patches"] for name in "ab")
    assert (
        f"score\tfd_patches\t{a:.6g}\t{b:.6g}\t{b - a:+.3g}"
        in done("diff", tmp_path / "a.json", tmp_path / "b.json").stdout
    )


# --- the report -------------------------------------------------------------------------------------------------------


def test_the_report_of_a_comparison_carries_what_is_to_be_known(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (sides[1] / "007.png").write_bytes(b"no image")
    options = [*TINY, "--measures", "fid,kid,prdc(k=1)", "--on-error", "skip"]
    same = folder(tmp_path / "same", [*noises(20, 0), *noises(20, 0)])
    written = tmp_path / "x.json"
    result = run("compare", same, sides[1], *options, "--json", written, "--report", tmp_path / "x.html")
    assert result.exit_code == 4
    page, read = Page((tmp_path / "x.html").read_text()), json.loads(written.read_text())
    [warning] = [warning for warning in read["warnings"] if "identical others" in warning]
    for told in (warning, str(same), str(sides[1]), "007.png: no image of a known kind", read["date"], "KID needs at"):
        assert told in page.said
    for key, value in read["scores"].items():
        assert f"{key} {value!r}" in page.said


def test_scores_of_the_command_line_have_a_date(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done("compare", *sides, *TINY, "--json", tmp_path / "x.json")
    made = datetime.fromisoformat(json.loads((tmp_path / "x.json").read_text())["date"])
    assert abs(datetime.now(timezone.utc) - made) < timedelta(hours=1)


@pytest.mark.filterwarnings("ignore:.*(many workers|LeafSpec|srun|number of training batches|of them distinct)")
def test_the_report_of_a_training_carries_its_warnings(tmp_path: Path) -> None:
    watching = monitor([PRDC(k=2)], report=tmp_path / "x.html", sample=lambda model, n: REAL[:1].expand(n, -1, -1, -1))  # noqa: ARG005
    with pytest.warns(BiasWarning, match="identical others"):
        validate(watching)
    page = Page((tmp_path / "x-validate.html").read_text())
    assert "warning PRDC: 20 of 20 fake samples have 2 identical others" in page.said
    assert f"date {datetime.now(timezone.utc):%Y-%m-%dT%H}" in page.said
