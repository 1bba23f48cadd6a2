"""The demo, made small: it trains, measures, and writes all that it promises."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest
import torch
from lightning.pytorch import LightningModule
from PIL import Image
from test_image_log import events

from streaming_metrics import Signature
from streaming_metrics.demo import output, study
from streaming_metrics.demo import run as demo
from streaming_metrics.measures.registry import MEASURES
from streaming_metrics.monitor.kept_samples import KeptSamples
from streaming_metrics.plots.result_keys import number
from streaming_metrics.ratings.results_file import read_results

if TYPE_CHECKING:
    from pathlib import Path

KEY = "val/fd_efficientnet_lite0"
DIGITS = demo.load_digits()


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("demo")
    patch = pytest.MonkeyPatch()
    patch.setattr(demo, "load_digits", lambda: DIGITS[:100])
    patch.setattr(demo, "PASSES", 10)
    threads = torch.get_num_threads()
    with pytest.warns(UserWarning, match="biased upwards"):
        demo.main(["--epochs", "3", "--samples", "48", "--side", "32", "--out", str(out)])
    torch.set_num_threads(threads)
    patch.undo()
    return out


def test_the_digits_are_all_there_in_uint8() -> None:
    assert DIGITS.shape == (1797, 1, 8, 8)
    assert DIGITS.dtype == torch.uint8
    assert (DIGITS.min(), DIGITS.max()) == (0, 255)


def test_the_distance_falls(run: Path) -> None:
    rows = [row for row in csv.DictReader((run / "metrics.csv").read_text().splitlines()) if row[KEY]]
    assert len(rows) == 3
    assert float(rows[-1][KEY]) < float(rows[0][KEY])
    assert {"val/precision_efficientnet_lite0", "val/is_efficientnet_lite0", "val/kd_efficientnet_lite0"} <= rows[
        0
    ].keys()


def test_the_best_checkpoint_loads(run: Path) -> None:
    model: LightningModule = demo.DigitFlow.load_from_checkpoint(run / "best.ckpt")
    assert model.sample(2).shape == (2, 1, 8, 8)


def test_grids_go_to_tensorboard_every_epoch(run: Path) -> None:
    written = events(run)
    assert len(written.Images("val/samples")) == len(written.Scalars(KEY)) == 3


@pytest.mark.parametrize("name", ["curves.png", "samples.png"])
def test_pictures_are_written(run: Path, name: str) -> None:
    picture = opened(run / name)
    assert picture.width > 800
    assert len(picture.resize((200, 100)).getcolors(20_000)) > 50


def test_the_report_shows_every_epoch(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "<h1>What DigitFlow generates</h1>" in page
    assert [f'data-epoch="{epoch}"' in page for epoch in range(4)] == [True, True, True, False]
    assert "<h3>Real images not covered</h3>" in page


def test_the_signature_says_what_was_measured(run: Path) -> None:
    signature = Signature.parse((run / "signature.txt").read_text())
    assert (signature.real, signature.fake) == (100, 48)
    assert signature.resize.endswith("-32")


def test_every_measure_is_had_or_left_out_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    found = demo.chosen("all", num_real=1797, num_samples=1797)
    left_out = dict(line.split(": ", 2)[1:] for line in capsys.readouterr().out.splitlines())
    assert {measure.label for measure in found} | {label.split("(")[0] for label in left_out} == {*MEASURES}
    assert [measure.label for measure in found][:4] == ["fid", "kid", "is", "prdc"]
    assert "labels" in left_out["intra_fid"]
    few = demo.chosen("all", num_real=1797, num_samples=4)
    assert "prdc" not in [measure.label for measure in few]
    assert "left out: prdc(k=5): PRDC(k=5) needs at least 7 fake samples, got 4" in capsys.readouterr().out
    assert [measure.describe() for measure in demo.chosen("fid,prdc(k=3)", 9, 9)] == ["fid", "prdc(k=3)"]


def test_a_line_of_an_epoch_is_of_the_first_group_and_the_table_of_all() -> None:
    rows = [{"fd": 9.0, "vendi": 1.0}, {"fd": 4.0, "vendi": 3.0}]
    table = output._table(rows)
    assert [*table.columns[0].cells] == ["\n[bold]Core[/]", "fd ↓", "\n[bold]Diversity[/]", "vendi ↑"]
    assert [*table.columns[2].cells][1] == "[bold green]4.00[/]"


def test_the_command_line_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(
        flag in told
        for flag in ("--epochs", "--study", "--measures", "--devices", "--samples", "--extractor", "--out", "--seed")
    )
    assert "(default: 12)" in told


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.000"), (0.5, "0.500"), (9.876, "9.88"), (98.76, "98.8"), (987.6, "988"), (-2.5, "-2.50")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_curves_take_published_names_and_one_epoch(tmp_path: Path) -> None:
    row = {"fid": 3.0, "kid": 0.1, "kid_std": 0.01, "precision": 0.5}
    images = DIGITS[:4].expand(-1, 3, -1, -1)
    output.overview([row], images, "signature", tmp_path / "curves.png")
    output.strips([images], [row], DIGITS, tmp_path / "samples.png")
    assert opened(tmp_path / "curves.png").width > 800


def test_simulated_raters_look_at_pixels() -> None:
    eye, generator = study.Eye(DIGITS), torch.Generator().manual_seed(0)
    real = torch.tensor([eye.quality(digit.expand(3, -1, -1)) for digit in DIGITS[:200]])
    assert abs(real.mean() - 1) < 0.2
    blurred = [eye.quality((digit.float() * 0.5 + 60).byte().expand(3, -1, -1)) for digit in DIGITS[:50]]
    noise = [
        eye.quality(DIGITS[i].flatten()[torch.randperm(64, generator=generator)].view(1, 8, 8).expand(3, -1, -1))
        for i in range(50)
    ]
    assert sum(noise) < sum(blurred) < 50 * float(real.mean())


@pytest.mark.slow
def test_simulated_raters_answer_a_study_of_epochs_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Epochs are real digits with less and less noise, which raters who look at pixels put in order."""
    monkeypatch.setattr(study, "RATERS", 6)
    kept, generator = KeptSamples(tmp_path / "samples", study.IMAGES), torch.Generator().manual_seed(0)
    log = ["epoch,step,val/fid"]
    for epoch, noise in enumerate((120, 60, 25, 5)):
        digits = DIGITS[100 : 100 + study.IMAGES].float()
        noisy = (digits + noise * torch.randn(digits.shape, generator=generator)).clamp(0, 255).byte()
        kept.write(f"epoch={epoch:02d}-step={epoch}", noisy.expand(-1, 3, -1, -1))
        log.append(f"{epoch},{epoch},{noise}")
    (tmp_path / "metrics.csv").write_text("\n".join(log) + "\n")
    study.run(tmp_path, tmp_path / "samples", DIGITS, tmp_path / "metrics.csv", seed=0)
    told, found = capfd.readouterr().out, read_results(tmp_path / "results.json")
    assert found["raters_are"] == "simulated"
    assert "raters:simulated-6|" in found["signature"]
    assert "No person judges." in told
    assert "The raters are simulated: no person has judged." in told
    assert f"streaming-metrics study serve {tmp_path / 'digits.toml'}" in told
    [opinion] = [task for task in found["tasks"] if task["name"] == "opinion"]
    means = [one["mean"]["value"] for one in opinion["scores"]]
    assert means[0] < means[-1]
    [fid] = next(one["measures"] for one in found["beside"] if one["task"] == "opinion")
    assert fid["spearman"]["value"] > 0.5
    assert "The raters of this study are simulated." in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "digits.sqlite").exists()  # people's answers go into a store of their own


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
def test_epochs_are_told_apart_with_fewer_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "load_digits", lambda: DIGITS[:200])
    monkeypatch.setattr(demo, "PASSES", 10)
    demo.main(["--decide", "--epochs", "2", "--samples", "200", "--side", "32", "--out", str(tmp_path)])
    printed, page = capsys.readouterr().out, (tmp_path / "report.html").read_text()
    for words in ("epoch 0: first, 200 images", "kd_efficientnet_lite0 against epoch 0: ", "images saved: "):
        assert words in printed
        assert words in page
    rows = [row for row in csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()) if row[KEY]]
    first, second = (float(row["val/kd_efficientnet_lite0_decided"]) for row in rows)
    is_better = [float(row["val/kd_efficientnet_lite0_verdict"]) for row in rows] == [0, 1]
    assert (second < first) if is_better else (second == first)
