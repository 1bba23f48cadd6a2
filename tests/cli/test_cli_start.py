"""How the command line and the package start: no PyTorch where none is needed, and every public name is there."""

from __future__ import annotations

import json
import subprocess
import sys
from inspect import getdoc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from test_cli import LINE

import streaming_metrics
from streaming_metrics import FID, Features, Reference, extractors, measures
from streaming_metrics.cli import app
from streaming_metrics.cli.facts import contents, differences, facts
from streaming_metrics.cli.results import Origin, Result
from streaming_metrics.extractors import EXTRACTORS, RESIZES, EfficientNetLite0, resolve
from streaming_metrics.extractors.names import RESIZES_TOLD, facts_of_record
from streaming_metrics.extractors.recorded import Recorded, record_of
from streaming_metrics.files.outline import Outline
from streaming_metrics.files.reference import KIND
from streaming_metrics.files.tensors import REFERENCE_KIND, read_arrays, read_tensors, write_tensors
from streaming_metrics.statistics import Bank, Count, Moments

SAID = {"source": "ffhq", "data": "1f2e", "date": "2026-01-01", "half": True, "warnings": ["few"]}


TORCHLESS = """
import json, sys
sys.modules["torch"] = None
from typer.testing import CliRunner
from streaming_metrics.cli import app
done = [CliRunner().invoke(app, command) for command in json.load(sys.stdin)]
print(json.dumps([(one.exit_code, one.stdout, one.stderr, repr(one.exception)) for one in done]))
"""


def run_torchless(*commands: list[str]) -> list[tuple[int, str, str, str]]:
    """Run command lines in one process, in which they fail once they import PyTorch."""
    run = [sys.executable, "-c", TORCHLESS]
    done = subprocess.run(run, input=json.dumps(commands), capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


def reference(path: Path, **about: Any) -> Path:
    """Write a reference of 5 samples of 3 features, with half a bank and radii."""
    features = Features(torch.arange(15.0).view(5, 3).sin(), index=torch.arange(5))
    states = {s.name: s.update(s.empty(), features) for s in (Count(), Moments(3), Bank(3))}
    states["bank_3"]["rows"] = states["bank_3"]["rows"].half()
    record = record_of(EfficientNetLite0(side=64))
    Reference("a-print", states, {"bank_3/2": torch.ones(5)}, {"extractor": record, **SAID, **about}).save(path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("scores.json", "saved", "state", "foreign.npz")}
    Result({"fid": 1.5}, LINE, Origin("real", 9, data="1f"), Origin("fake", 8), ["few"]).save(made["scores.json"])
    reference(made["saved"])
    write_tensors(made["state"], {"x": torch.zeros(3)}, "streaming-metrics state 1", "a-print", signature=LINE)
    np.savez(made["foreign.npz"], mu=np.zeros(3), sigma=np.eye(3))
    return made


LISTS = [["measures"], ["measures", "ndb"], ["measures", "--markdown"], ["measures", "--json"], ["extractors"]]
REFUSED = {
    "compare --measures fid": "Missing argument",
    "compare a b --measures fid --batch-size 0": "Invalid value for '--batch-size'",
    "compare a b --measures fib": "Did you mean 'fid'?",
    "compare a b --paired psnr --nothing": "No such option",
    "reference a -o b --measures ,": "expected a list like 'fid,kid",
    "nothing": "No such command",
    "measures fib": "Did you mean 'fid'?",
    "show": "Missing argument",
}


def test_lists_help_show_and_diff_need_no_torch_and_what_needs_it_would_be_seen() -> None:
    helps = [[command, "-h"] for command in typer.main.get_command(app).commands]  # pyright: ignore
    commands = [["--help"], ["--version"], ["show", LINE], ["diff", LINE, LINE], *helps, *LISTS]
    *told, (code, _, _, failed) = run_torchless(*commands, ["compare", "a", "b"])
    for command, (returned, out, err, _) in zip(commands, told):
        said = "These compare: nothing that matters differs.\n" if command == ["diff", LINE, LINE] else ""
        assert (returned, err) == (0, said), command
        assert bool(out) == (command != ["diff", LINE, LINE])
    assert code != 0
    assert "torch" in failed


def test_errors_of_usage_need_no_torch() -> None:
    for command, (code, _, err, _) in zip(REFUSED, run_torchless(*map(str.split, REFUSED))):
        assert code in (2, 3), command
        assert REFUSED[command] in " ".join(err.replace("│", " ").split()), command


PEAK = """
from streaming_metrics.cli import app
try:
    app(["measures", "--json"])
finally:
    print(open("/proc/self/status").read())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it is Linux that tells the peak")
def test_a_list_takes_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    [peak] = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("VmHWM")]
    assert peak <= 60 * 1024


def test_every_kind_of_file_is_shown_and_compared_without_torch(files: dict[str, Path]) -> None:
    paths = [str(path) for path in files.values()]
    told = iter(
        run_torchless(*(c for path in paths for c in (["show", path], ["diff", path, path], ["show", path + "x"])))
    )
    for path, shown, compared, missing in zip(paths, told, told, told):
        assert (shown[0], shown[2]) == (0, "")
        assert (compared[0], compared[2]) == (0, "These compare: nothing that matters differs.\n")
        expected = [*facts(path).items(), *contents(path)]
        assert shown[1].splitlines() == [f"{what}\t{line}" for what, line in expected]
        assert missing[0] == 3


@pytest.mark.parametrize("name", streaming_metrics.__all__)
def test_every_public_name_is_there(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"from streaming_metrics import {name}", namespace)
    assert namespace[name] is getattr(streaming_metrics, name)
    assert name in dir(streaming_metrics)


@pytest.mark.parametrize("room", [streaming_metrics, measures, extractors], ids=lambda room: room.__name__)
def test_a_star_brings_the_public_names_and_no_other(room: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(f"from {room.__name__} import *", namespace)
    assert sorted(namespace.keys() - {"__builtins__"}) == dir(room)


def test_names_that_are_not_there_are_told() -> None:
    with pytest.raises(AttributeError, match="'streaming_metrics' has no attribute 'FIB'"):
        _ = streaming_metrics.FIB  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(streaming_metrics, "__path_of__")
    assert streaming_metrics.measures.FID is FID  # pyright: ignore[reportAttributeAccessIssue]


def test_neither_the_package_nor_its_registry_nor_its_verdicts_import_torch() -> None:
    code = (
        "import sys, streaming_metrics; assert 'torch' not in sys.modules; import streaming_metrics.measures.registry"
    )
    code += "; assert 'torch' not in sys.modules; from streaming_metrics import Comparison, Evidence, paired, unpaired"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


# --- the outline of a reference ---------------------------------------------------------------------------------------


def test_an_outline_says_what_the_reference_holds(tmp_path: Path) -> None:
    path = reference(tmp_path / "saved")
    whole, outline = Reference.load(path), Outline.load(path)
    assert (outline.fingerprint, outline.num_samples, outline.about) == ("a-print", 5, whole.about)
    states = {f"{name}.{key}": tensor for name, state in whole.states.items() for key, tensor in state.items()}
    held = states | {f"radii of {name}": squared for name, squared in whole.radii.items()}
    assert list(outline.forms.items()) == [(name, f"{t.dtype} {tuple(t.shape)}") for name, t in held.items()]


def test_the_outline_of_an_npz_says_what_the_reference_holds(tmp_path: Path) -> None:
    reference(tmp_path / "saved")
    Reference.load(tmp_path / "saved").save(tmp_path / "x.npz")
    whole, outline = Reference.load(tmp_path / "x.npz"), Outline.load(tmp_path / "x.npz")
    assert (outline.fingerprint, outline.num_samples, dict(outline.about)) == ("a-print", 5, dict(whole.about))
    states = {f"{name}.{key}": tensor for name, state in whole.states.items() for key, tensor in state.items()}
    assert outline.forms == {name: f"{t.dtype} {tuple(t.shape)}" for name, t in states.items()}


def test_arrays_are_the_tensors(tmp_path: Path) -> None:
    path = reference(tmp_path / "saved")
    (tensors, about), (arrays, said) = read_tensors(path, KIND), read_arrays(path, REFERENCE_KIND)
    assert about == said
    assert list(arrays) == list(tensors)
    assert all(torch.equal(torch.from_numpy(arrays[name]), tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("position", [10, 400, -1])
def test_a_damaged_reference_is_refused(tmp_path: Path, position: int) -> None:
    path = reference(tmp_path / "saved")
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="saved: "):
        Outline.load(path)


@pytest.mark.parametrize("n", [None, torch.tensor(-1), torch.tensor([3]), torch.tensor(3.0)])
def test_a_reference_without_a_count_is_refused(tmp_path: Path, n: torch.Tensor | None) -> None:
    states = {"other": {"n": torch.tensor(3)}} if n is None else {"count": {"n": n}}
    Reference("a-print", states).save(tmp_path / "saved")
    with pytest.raises(ValueError, match="expected a number of samples, got"):
        Outline.load(tmp_path / "saved")


@pytest.mark.parametrize("record", [{"name": "x"}, {"name": 3}, ["inception-v3"], "inception-v3"])
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: Any) -> None:
    with pytest.raises(ValueError, match="expected a record of an extractor, got"):
        facts(str(reference(tmp_path / "saved", extractor=record)))


def test_a_record_tells_what_the_extractor_does() -> None:
    extractor = EfficientNetLite0(side=64)
    told = facts_of_record(record_of(extractor))
    assert told == {"extractor": extractor.label, "resize": extractor.resize, "precision": extractor.precision}
    assert Recorded(record_of(extractor)).label == told["extractor"]


def test_names_are_those_of_what_there_is() -> None:
    assert {name: getdoc(resize).partition("\n")[0] for name, resize in RESIZES.items()} == RESIZES_TOLD  # pyright: ignore
    with pytest.raises(ValueError, match="There are: " + ", ".join(EXTRACTORS)):
        resolve("none")


# --- what two results differ in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "matters"),
    [
        ("prdc(k=5)+prdc(k=3)", "prdc(k=5)+prdc(k=3)", []),
        ("prdc(k=5)+prdc(k=3)", "prdc(k=3)+prdc(k=5)", ["prdc"]),  # `precision` is the first one's
        ("prdc(k=5)+prdc(k=3)", "prdc(k=5)", ["prdc"]),
        ("fid+kid", "kid+fid", []),
    ],
)
def test_several_of_one_measure_compare_in_their_order(first: str, second: str, matters: list[str]) -> None:
    sides = [facts(LINE.replace("fid+kid", measures)) for measures in (first, second)]
    assert [d.what for d in differences(*sides) if d.matters] == matters


def test_scores_are_the_json_that_they_were(files: dict[str, Path]) -> None:
    read = json.loads(files["scores.json"].read_text())
    assert list(read) == ["kind", "scores", "signature", "real", "fake", "warnings", "unscored", "date"]
