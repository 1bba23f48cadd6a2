"""The demo, made small: it trains, measures, and writes all that it promises."""

from __future__ import annotations

import csv
import gzip
import io
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from PIL import Image
from test_image_log import events
from torch import Tensor, nn

from streaming_metrics import CAS, FID, FWD, IS, KID, PRDC, Features, IntraFID, Signature
from streaming_metrics.demo import command_line, output, sets, study
from streaming_metrics.demo import watch as watching
from streaming_metrics.demo.flow import DigitFlow, LabelledFlow
from streaming_metrics.demo.growing import GrowingTable
from streaming_metrics.demo.packages import missing
from streaming_metrics.demo.recipes import RECIPES
from streaming_metrics.demo.sets import SETS, ImageSet
from streaming_metrics.extractors.module import ModuleExtractor
from streaming_metrics.measures.registry import MEASURES
from streaming_metrics.monitor.kept_samples import KeptSamples
from streaming_metrics.plots.result_keys import number
from streaming_metrics.ratings.results_file import read_results

if TYPE_CHECKING:
    from pathlib import Path

KEY = "val/fd_efficientnet_lite0"
DIGITS, KINDS = sets.digit_images()
FEW = (KINDS < 3).nonzero().flatten()[:120]
BY_CLASS = DIGITS[FEW].repeat_interleave(2, -1).repeat_interleave(2, -2), KINDS[FEW]
"""Digits 0, 1 and 2 of 16 pixels: 60 to learn, 60 as real."""
LABELLED = ImageSet(*(tuple(part[half] for part in BY_CLASS) for half in (slice(60), slice(60, 120))), ("0", "1", "2"))


class Pixels(nn.Module):
    """Network that needs no time: 16 features of grey values, and 10 logits."""

    def forward(self, images: Tensor) -> Features:
        pool = nn.functional.adaptive_avg_pool2d(images[:, 0].float() / 64, 4).flatten(1)
        return Features(pool, pool[:, :10])


class Ran(NamedTuple):
    """A run of the demo: where it wrote, and what it printed."""

    out: Path
    printed: str

    def rows(self, key: str) -> list[dict[str, str]]:
        return [row for row in csv.DictReader((self.out / "metrics.csv").read_text().splitlines()) if row[key]]


def small(images: ImageSet, out: Path, *arguments: str, passes: int = 10, name: str = "digits") -> Ran:
    """Run the demo of few images."""
    threads, printed = torch.get_num_threads(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setitem(SETS, name, lambda: images)
        if images.classes:
            patch.setattr(watching, "network_of", lambda _: ModuleExtractor(Pixels()))
        patch.setitem(RECIPES, name, replace(RECIPES[name], passes=passes))
        command_line.main(["--set", name, "--side", "32", "--out", str(out), *arguments])
    torch.set_num_threads(threads)
    return Ran(out, printed.getvalue())


def of_digits(number: int) -> ImageSet:
    return ImageSet((DIGITS[:number],), (DIGITS[:number],))


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return small(of_digits(100), tmp_path_factory.mktemp("demo"), "--epochs", "2", "--samples", "48")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return small(
        LABELLED, tmp_path_factory.mktemp("labelled"), "--epochs", "2", "--samples", "30", passes=1, name="fashion"
    )


def test_the_digits_are_all_there_in_uint8() -> None:
    (learnt,), (real,), classes = sets.digits()
    assert torch.equal(learnt, DIGITS)
    assert torch.equal(real, DIGITS)
    assert classes == ()
    assert DIGITS.shape == (1797, 1, 8, 8)
    assert DIGITS.dtype == torch.uint8
    assert (DIGITS.min(), DIGITS.max()) == (0, 255)


def test_the_distance_falls(run: Ran) -> None:
    rows = run.rows(KEY)
    assert len(rows) == 2
    assert float(rows[-1][KEY]) < float(rows[0][KEY])
    assert {"val/precision_efficientnet_lite0", "val/is_efficientnet_lite0", "val/kd_efficientnet_lite0"} <= rows[
        0
    ].keys()


def test_the_best_checkpoint_loads(run: Ran) -> None:
    model: LightningModule = DigitFlow.load_from_checkpoint(run.out / "best.ckpt")
    assert model.sample(2).shape == (2, 1, 8, 8)


def test_grids_go_to_tensorboard_every_epoch(run: Ran) -> None:
    written = events(run.out)
    assert len(written.Images("val/samples")) == len(written.Scalars(KEY)) == 2


@pytest.mark.parametrize("name", ["curves.png", "samples.png"])
def test_pictures_are_written(run: Ran, name: str) -> None:
    picture = opened(run.out / name)
    assert picture.width > 800
    assert len(picture.resize((200, 100)).getcolors(20_000)) > 50


def test_the_report_shows_every_epoch(run: Ran) -> None:
    page = (run.out / "report.html").read_text()
    assert "<h1>What DigitFlow generates</h1>" in page
    assert [f'data-epoch="{epoch}"' in page for epoch in range(3)] == [True, True, False]
    assert "<h3>Real images not covered</h3>" in page
    assert "biased upwards" in page  # 48 images are few; the terminal is spared of it
    assert "biased upwards" not in run.printed


def test_the_signature_says_what_was_measured(run: Ran) -> None:
    signature = Signature.parse((run.out / "signature.txt").read_text())
    assert (signature.real, signature.fake) == (100, 48)
    assert signature.resize.endswith("-32")


def chosen(measures: str, images: ImageSet, core: list[Any], num_samples: int) -> list[Any]:
    return watching.chosen(SimpleNamespace(measures=measures, samples=num_samples, decide=False), core, images)  # pyright: ignore


def test_every_measure_is_had_or_left_out_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    core, digits = [FID(), KID(), IS(), PRDC()], ImageSet((DIGITS,), (DIGITS,))
    found = chosen("all", digits, core, 1797)
    left_out = dict(line.split(": ", 2)[1:] for line in capsys.readouterr().out.splitlines())
    assert {measure.label for measure in found} | {label.split("(")[0] for label in left_out} == {*MEASURES}
    assert [measure.label for measure in found][:4] == ["fid", "kid", "is", "prdc"]
    assert "labels" in left_out["intra_fid"]
    few = chosen("all", digits, core, 4)
    assert "prdc" not in [measure.label for measure in few]
    assert "left out: prdc(k=5): PRDC(k=5) needs at least 7 fake samples, got 4" in capsys.readouterr().out
    assert [measure.describe() for measure in chosen("fid,prdc(k=3)", digits, core, 9)] == ["fid", "prdc(k=3)"]


def test_labels_have_measures_of_their_own_among_all(capsys: pytest.CaptureFixture[str]) -> None:
    core = [FID(), IntraFID(3), CAS(3), FWD()]
    found = chosen("all", LABELLED, core, 30)
    left_out = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    assert {*core} <= {*found}
    assert not {"intra_fid", "cas"} & {label.split("(")[0] for label in left_out}


def test_a_table_has_a_line_for_each_measure_and_the_best_in_bold() -> None:
    rows = [{"fd": 9.0, "vendi": 1.0}, {"fd": 4.0, "vendi": 3.0}]
    table = output._table(rows)
    assert [*table.columns[0].cells] == ["\n[bold]Core[/]", "fd ↓", "\n[bold]Diversity[/]", "vendi ↑"]
    assert [*table.columns[2].cells][1] == "[bold green]4.00[/]"
    assert [column.header for column in table.columns] == ["", "0", "1"]


def test_a_growing_table_is_as_wide_as_the_terminal() -> None:
    row = {"fd": 131.2, "kd": 0.00553, "kd_std": 1.0, "cas": 0.5, "cas_real": 0.9, "precision": 0.9, "recall": 0.2}
    heading, values = GrowingTable(width=40).line(3, row).splitlines()
    assert heading == "epoch     fd ↓     kd ↓    cas ↑"
    assert values == "    3      131  0.00553    0.500"
    assert "recall ↑" in GrowingTable(width=80).line(1, row)
    narrow = GrowingTable(["a", "b"], width=5)
    assert narrow.line(1, row, "b") == "epoch        fd ↓\n    1  b      131"
    assert narrow.line(2, row, "a") == "    2  a      131"


def test_lines_come_as_epochs_are_measured(run: Ran, labelled: Ran) -> None:
    lines = run.printed.splitlines()
    heading = next(place for place, line in enumerate(lines) if line.startswith("epoch"))
    assert lines[heading].split()[1:6] == ["fd", "↓", "kd", "↓", "is"]
    assert [line.split()[0] for line in lines[heading + 1 : heading + 3]] == [
        "0",
        "1",
    ]  # as the report and the log have
    assert all(len(line) <= 80 for line in lines[heading : heading + 3])
    assert ["0", "ema"] in [line.split()[:2] for line in labelled.printed.splitlines()]
    assert ["1", "raw"] in [line.split()[:2] for line in labelled.printed.splitlines()]


def test_what_is_coming_is_told_before_pytorch_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    monkeypatch.delattr("streaming_metrics.demo.run", raising=False)
    later = SimpleNamespace(run=lambda _: told.append(capsys.readouterr().out))
    monkeypatch.setitem(sys.modules, "streaming_metrics.demo.run", later)
    command_line.main(["--set", "fashion"])
    command_line.main(["--epochs", "1"])
    assert "learns to draw clothes of ten kinds, and is measured after each of 10 epochs" in told[0]
    assert "about 10 minutes" in told[0]
    assert "Loading PyTorch" in told[0]
    assert "minutes" not in told[1]
    assert "is measured after its only epoch" in told[1]
    code = "import sys, streaming_metrics.demo; print({'torch', 'lightning', 'numpy'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_end_names_three_files_to_open_first(run: Ran, labelled: Ran) -> None:
    for ran in (run, labelled):
        told = ran.printed.split("Open first:\n")[1].splitlines()
        assert [line.split()[1] for line in told[:3]] == [
            str(ran.out / name) for name in ("report.html", "samples.png", "metrics.csv")
        ]
        assert all((ran.out / name).exists() for name in ("report.html", "samples.png", "metrics.csv"))
        assert {"best.ckpt,", "curves.png,"} <= {*told[3].split()}


@pytest.mark.parametrize(
    ("arguments", "module", "package"),
    [
        ("--set digits", "sklearn", "scikit-learn"),
        ("--set photographs", "skimage", "scikit-image"),
        ("--set fashion", "efficientnet_lite_pytorch", "efficientnet-lite-pytorch"),
        ("--set digits", "matplotlib", "matplotlib"),
        ("--study", "starlette", "starlette"),
    ],
)
def test_a_package_that_is_missing_is_told_before_training(
    monkeypatch: pytest.MonkeyPatch, arguments: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        SystemExit, match=rf'not installed: {package}\. Remedy: pip install "streaming-metrics\[demo\]"'
    ):
        command_line.main(arguments.split())


def test_packages_of_another_set_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("skimage", "starlette", "efficientnet_lite_pytorch"):
        monkeypatch.setitem(sys.modules, module, None)
    assert missing(command_line.read(["--set", "digits", "--extractor", "inception-v3"])) == []


def test_a_set_that_is_not_there_ends_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sets, "PLACES", (tmp_path,))
    with pytest.raises(SystemExit, match=r"--set fashion: Expected Fashion-MNIST in .*Remedy: .*dataset-fashion-mnist"):
        command_line.main(["--set", "fashion", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--epochs 0", "--epochs: expected at least 1, got 0"),
        ("--epochs -1", "--epochs: expected at least 1, got -1"),
        ("--epochs few", "--epochs: invalid integer value: 'few'"),
        ("--samples 1", "--samples: expected at least 2, got 1"),
        ("--devices 0", "--devices: expected at least 1, got 0"),
        ("--side 0", "--side: expected at least 1, got 0"),
        ("--devices 257", "--devices: expected at most 256, got 257"),
        ("--seed -1", "--seed: expected at least 0, got -1"),
        ("--seed 4294967296", "--seed: expected at most 4294967295, got 4294967296"),
        ("--epochs 1 --study", "--study: expected at least 2 epochs to compare, got --epochs 1"),
        ("--set fashion --epochs 1 --study", "--study: expected at least 2 epochs to compare, got --epochs 1"),
    ],
)
def test_options_out_of_bounds_are_refused_before_anything_starts(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command_line.read(arguments.split())
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--measures nope", "Unknown measure 'nope'"),
        ("--extractor nope", "Unknown extractor 'nope'"),
        ("--samples 5", "PRDC.k=5. needs at least 7 fake samples, got 5"),
    ],
)
def test_what_cannot_be_measured_ends_in_a_line(arguments: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=words):
        small(of_digits(20), tmp_path, "--epochs", "1", *arguments.split())


def test_a_file_in_the_place_of_the_folder_ends_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in ("file", "file/deeper"):
        with pytest.raises(SystemExit, match=r"--out: expected a folder, got .*Remedy"):
            command_line.main(["--out", str(tmp_path / out)])


def test_an_interrupted_training_says_where_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(DigitFlow, "training_step", interrupt)
    with pytest.raises(SystemExit, match=f"Interrupted. What was written until then is in {tmp_path}"):
        small(of_digits(20), tmp_path, "--epochs", "1", "--samples", "20")
    signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored


@pytest.mark.parametrize("damage", ["cut", "missing", "bytes"])
def test_fashion_mnist_that_is_not_whole_ends_with_the_remedy(
    damage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 3, 4]))
    content = {"cut": whole[:-9], "missing": whole, "bytes": whole[:10] + b"?" * 20}[damage]
    for part in ("train", "t10k"):
        for name in (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"):
            if damage != "missing" or name.startswith("train"):
                (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(sets, "PLACES", (tmp_path,))
    said = "t10k-images-idx3-ubyte, perhaps" if damage == "missing" else "train-images-idx3-ubyte.gz: expected an array"
    with pytest.raises(SystemExit, match=f"--set fashion: .*{said}.*Remedy"):
        command_line.main(["--set", "fashion", "--out", str(tmp_path)])


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_fashion_mnist_is_read_from_its_four_files(
    ending: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pixels = np.arange(6 * 28 * 28, dtype=np.uint8).reshape(6, 28, 28)
    for part, n in (("train", 6), ("t10k", 4)):
        for what, array in ((f"{part}-images-idx3-ubyte", pixels[:n]), (f"{part}-labels-idx1-ubyte", np.arange(n))):
            content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            content += array.astype(np.uint8).tobytes()
            (tmp_path / (what + ending)).write_bytes(gzip.compress(content) if ending else content)
    monkeypatch.setattr(sets, "PLACES", (tmp_path / "nowhere", tmp_path))
    (learnt, labels), (real, real_labels), classes = sets.fashion(num_real=3)
    assert (learnt.shape, real.shape, len(classes)) == ((6, 1, 32, 32), (3, 1, 32, 32), 10)
    assert torch.equal(learnt[:, 0, 2:-2, 2:-2], torch.from_numpy(pixels))
    assert learnt[:, :, :2].max() == learnt[..., -2:].max() == 0
    assert (labels.tolist(), real_labels.tolist()) == ([*range(6)], [*range(3)])


def test_photographs_are_cropped_in_colour_by_class() -> None:
    pytest.importorskip("skimage")
    (learnt, labels), (real, real_labels), classes = sets.photographs(num_train=3, num_real=2)
    assert (learnt.shape, real.shape, learnt.dtype) == ((21, 3, 32, 32), (14, 3, 32, 32), torch.uint8)
    assert labels.bincount().tolist() == [3] * len(classes)
    assert real_labels.tolist() == [place for place in range(7) for _ in range(2)]
    assert learnt.float().std(1).mean() > 5  # grey would have none
    assert len(torch.cat([learnt, real]).unique(dim=0)) == 35  # none comes twice


def test_both_samplers_are_measured_with_labels(labelled: Ran) -> None:
    keys = ("fd_pixels", "intra_fd_pixels", "cas_pixels", "fwd_haar4")
    rows = labelled.rows("val/ema/fwd_haar4")
    assert len(rows) == 2
    assert all(float(row[f"val/{name}/{key}"]) >= 0 for row in rows for name in ("ema", "raw") for key in keys)
    assert rows[1]["val/ema/fwd_haar4"] != rows[1]["val/raw/fwd_haar4"]
    page = (labelled.out / "report.html").read_text()
    assert "<h1>What LabelledFlow generates</h1>" in page
    assert "kd_pixels: " in labelled.printed.split("by the same seeds:")[1]


def test_a_labelled_flow_loads_and_draws_all_classes_in_turn(labelled: Ran) -> None:
    model = LabelledFlow.load_from_checkpoint(labelled.out / "best.ckpt")
    images, columns = model.sample(5)
    assert images.shape == (5, 1, 16, 16)
    assert columns["labels"].tolist() == [0, 1, 2, 0, 1]
    assert model.interpolate(2, 3).shape == (2, 3, 1, 16, 16)


def test_the_command_line_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(
        flag in told
        for flag in ("--epochs", "--study", "--measures", "--devices", "--samples", "--extractor", "--out", "--seed")
    )
    assert "(default: 12)" in told
    assert "{digits,fashion,photographs}" in told


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


def test_a_study_that_people_answered_is_not_forgotten(tmp_path: Path) -> None:
    """`--study` into the same folder removed it with their answers."""
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("digits.toml", "simulated.sqlite", "digits.sqlite"):
        (folder / name).touch()
    with pytest.raises(SystemExit, match=r"people's answers to it, digits\.sqlite\. Remedy: --out with another folder"):
        command_line.main(["--study", "--out", str(tmp_path), "--epochs", "2"])
    assert len([*folder.iterdir()]) == 3
    (folder / "digits.sqlite").unlink()
    study.forget(folder)
    assert not folder.exists()


@pytest.mark.slow
def test_epochs_are_told_apart_with_fewer_digits(tmp_path: Path) -> None:
    _, printed = ran = small(of_digits(200), tmp_path, "--decide", "--epochs", "2", "--samples", "200")
    page = (tmp_path / "report.html").read_text()
    for words in ("epoch 0: first, 200 images", "kd_efficientnet_lite0 against epoch 0: ", "images saved: "):
        assert words in printed
        assert words in page
    rows = ran.rows(KEY)
    first, second = (float(row["val/kd_efficientnet_lite0_decided"]) for row in rows)
    is_better = [float(row["val/kd_efficientnet_lite0_verdict"]) for row in rows] == [0, 1]
    assert (second < first) if is_better else (second == first)


@pytest.mark.slow
def test_a_labelled_run_is_decided_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "RATERS", 4)
    arguments = ("--decide", "--study", "--epochs", "2", "--samples", "120")
    _, printed = ran = small(LABELLED, tmp_path, *arguments, passes=1, name="fashion")
    assert len(ran.rows("val/raw/kd_pixels_verdict")) == 2
    assert str(tmp_path / "study" / "report.html") in printed.split("Open first:")[1].split()
    found = read_results(tmp_path / "study" / "results.json")
    measured = {measure["measure"] for one in found["beside"] for measure in one["measures"]}
    assert any("/ema/" in name for name in measured)
    assert not any("/raw/" in name for name in measured)
