"""Kept evidence: what the epochs of a training are compared by, in files that the command line reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from trainings import QUIET, TINY, Model, fit, loader, monitor, validate
from typer.testing import CliRunner

from streaming_metrics import FID, paired
from streaming_metrics.cli import app
from streaming_metrics.verdicts.files import from_json

if TYPE_CHECKING:
    from pathlib import Path

FEW = pytest.mark.filterwarnings("ignore::streaming_metrics.measures.base.BiasWarning")
pytestmark = [*QUIET, TINY, FEW]
OPTIONS = {"real": loader(), "num_samples": 40}


class Frozen(Model):
    """Does not learn: its epochs are the same."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def kept(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_epochs_of_a_training_are_compared_by_the_command_line(tmp_path: Path) -> None:
    watching = monitor([FID(se=True)], keep_evidence=tmp_path / "kept", **OPTIONS)
    fit(watching)
    first, last = kept(tmp_path / "kept")
    assert [first.name, last.name] == ["epoch=00-step=6.json", "epoch=01-step=12.json"]
    found = [from_json(json.loads(path.read_text())["evidence"])["fd_pixels"] for path in (first, last)]
    assert found[1].value == watching.metric.evidence["fd_pixels"].value
    expected = paired(*found)
    (told,) = json.loads(run("test", first, last, "--json", "-"))["comparisons"]
    assert told["difference"] == pytest.approx(expected.difference)
    assert told["error"] == pytest.approx(expected.error)
    assert told["correlation"] == pytest.approx(expected.correlation)
    assert "real data" in run("show", first)


def test_a_model_that_does_not_learn_has_no_better_epoch(tmp_path: Path) -> None:
    fit(monitor([FID(se=True)], keep_evidence=tmp_path, **OPTIONS), model=Frozen())
    (told,) = json.loads(run("test", *kept(tmp_path), "--json", "-"))["comparisons"]
    assert (told["difference"], told["error"], told["verdict"]) == (0, 0, "undecided")


@pytest.mark.slow
def test_epochs_of_other_seeds_are_not_paired(tmp_path: Path) -> None:
    for seed in (0, 1):
        fit(monitor([FID(se=True)], keep_evidence=tmp_path / f"{seed}", seed=seed, **OPTIONS), max_epochs=1)
    files = [str(*kept(tmp_path / f"{seed}")) for seed in (0, 1)]
    result = CliRunner().invoke(app, ["test", *files])
    assert result.exit_code == 3
    assert "expected images of the same seeds" in result.output
    assert "0/epoch=00-step=6" in result.output


def test_only_trainings_with_evidence_keep_it(tmp_path: Path) -> None:
    validate(monitor([FID(se=True)], keep_evidence=tmp_path / "kept", num_samples=40))
    fit(monitor([FID()], keep_evidence=tmp_path / "kept", **OPTIONS), max_epochs=1)
    assert not (tmp_path / "kept").exists()


def test_a_folder_that_cannot_be_written_ends_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="Evidence of epoch 0 is not kept"):
        fit(monitor([FID(se=True)], keep_evidence=tmp_path / "file" / "kept", **OPTIONS), max_epochs=1)
