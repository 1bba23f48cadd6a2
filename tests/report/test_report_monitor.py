"""The report of a training: epoch by epoch, resumed, shared by two monitors, on two ranks."""

# ruff: noqa: ARG005 (samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, seed_everything
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from test_image_log import events
from test_report import Page, section
from trainings import QUIET, REAL, Model, Pixels, fit, kept_features, loader, monitor, trainer, validate

from streaming_metrics import FID, NDB, PRDC, GenerativeMetrics
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.report.findings import Findings
from streaming_metrics.report.pictures import data_uri
from streaming_metrics.report.thumbnails import Thumbnails

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks
    from torch import Tensor

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:.*sampler has shuffling enabled"),
]

MEASURES = [FID(), PRDC(k=2)]


def watching(**options: Any) -> Any:
    return monitor(options.pop("measures", MEASURES), **{"report": True, **options})


def page_of(folder: Path, name: str = "report.html") -> Page:
    return Page((folder / name).read_text())


def frames(page: Page) -> list[int]:
    return [int(image["data-epoch"]) for image in page.images if "data-epoch" in image]


def listed(page: Page) -> list[str]:
    """Return the cells of the table of epochs."""
    table = page.html[page.html.index('class="scroll epochs"') :]
    rows = table[: table.index("</tbody>")]
    return [part.split("<")[0] for part in rows.split("<td>")[1:]]


def test_each_epoch_is_added_beside_the_logs(tmp_path: Path) -> None:
    callback = watching()
    fitted = fit(callback, max_epochs=3, logger=CSVLogger(tmp_path, "", ""))
    page = page_of(tmp_path)
    assert frames(page) == [0, 1, 2]
    assert page.headings[:4] == ["Scores", "Over the epochs", "Fidelity and diversity", "Samples through the epochs"]
    assert "<h1>What Model generates</h1>" in page.html
    assert callback.metric.signature() in page.said
    assert listed(page)[::7] == ["0", "1", "2"]
    last = float(fitted.callback_metrics["val/precision_pixels"])
    assert float(listed(page)[-4]) == pytest.approx(last, abs=5e-4)
    assert not list(tmp_path.glob("*.partial"))


def test_copies_are_shown_beside_what_they_copy(tmp_path: Path) -> None:
    callback = watching(sample=lambda model, n: REAL[:n], batch_size=20)
    validate(callback, default_root_dir=tmp_path)
    page = page_of(tmp_path, "report-validate.html")
    for title in ("Fixed samples", "Generated, nearest"):
        pictures = section(page, title)
        assert len(pictures) == 2 * 16
        assert pictures[::2] == pictures[1::2]
    assert set(section(page, "Fixed samples")) <= {data_uri(image) for image in REAL[:20]}
    assert page.html.count("<span>0.00</span>") == 3 * 16 + 8
    assert "Every real image has a generated sample nearer than its own neighbours." in page.said


@pytest.mark.parametrize("fake", [{}, {"fake_key": "reconstruction", "num_samples": 11}])
@pytest.mark.usefixtures("forks")
def test_two_ranks_show_the_images_of_one(tmp_path: Path, fake: dict[str, Any]) -> None:
    def run(folder: Path, **options: Any) -> Page:
        validate(watching(**fake), real=loader(REAL[:11]), default_root_dir=folder, **options)
        return page_of(folder, "report-validate.html")

    one = run(tmp_path / "one")
    two = run(tmp_path / "two", devices=2, strategy="ddp_fork")
    assert [image["src"] for image in one.images] == [image["src"] for image in two.images]
    assert len(one.images) > 40


@pytest.mark.usefixtures("forks")
def test_a_training_on_two_ranks_writes_its_epochs(tmp_path: Path) -> None:
    fit(watching(), devices=2, strategy="ddp_fork", default_root_dir=tmp_path)
    assert frames(page_of(tmp_path)) == [0, 1]


@pytest.mark.slow
def test_two_monitors_share_a_report(tmp_path: Path) -> None:
    raw = watching(prefix="raw/", every_n_epochs=2)
    average = watching(prefix="ema/", seed=1)
    fit(raw, average, max_epochs=4, default_root_dir=tmp_path)
    page = page_of(tmp_path)
    assert [heading for heading in page.headings if "Sample" in heading] == [
        "Samples through the epochs: raw",
        "Samples through the epochs: ema",
    ]
    assert frames(page) == [1, 3, 0, 1, 2, 3]
    fit(raw, watching(prefix="x/", report=tmp_path / "x.html"), max_epochs=2, default_root_dir=tmp_path)
    assert "raw" not in page_of(tmp_path, "x.html").said


def test_a_resumed_run_goes_on_with_its_curves(tmp_path: Path) -> None:
    fit(watching(), default_root_dir=tmp_path).save_checkpoint(tmp_path / "last.ckpt")
    before = listed(page_of(tmp_path))
    resumed = trainer(watching(), max_epochs=3, default_root_dir=tmp_path)
    resumed.fit(Model(), loader(), loader(), ckpt_path=tmp_path / "last.ckpt")
    page = page_of(tmp_path)
    assert listed(page)[: len(before)] == before
    assert listed(page)[::7] == ["0", "1", "2"]
    assert frames(page) == [2]


def test_validating_an_earlier_checkpoint_leaves_the_trainings_story(tmp_path: Path) -> None:
    callback = watching()
    fitted = fit(callback, max_epochs=1, default_root_dir=tmp_path)
    fitted.save_checkpoint(tmp_path / "first.ckpt")
    fitted.fit_loop.max_epochs = 3
    fitted.fit(Model(), loader(), loader())
    fitted.validate(Model(), loader(), ckpt_path=tmp_path / "first.ckpt", verbose=False)
    assert callback.variants[0].reporter.training.epochs == [0, 1, 2]


def test_a_test_leaves_the_report_of_the_training(tmp_path: Path) -> None:
    callback = watching()
    fitted = fit(callback, default_root_dir=tmp_path)
    before = (tmp_path / "report.html").read_text()
    fitted.test(fitted.model, loader(), verbose=False)
    assert (tmp_path / "report.html").read_text() == before
    page = page_of(tmp_path, "report-test.html")
    assert len(frames(page)) == 1
    assert "Over the epochs" not in page.headings


def test_real_images_without_a_way_back_are_left_out(tmp_path: Path) -> None:
    reference = GenerativeMetrics(MEASURES, Pixels())
    reference.update(REAL, real=True)
    reference.save_reference(tmp_path / "real.safetensors")
    cases = {"a reference file holds none": tmp_path / "real.safetensors", "not its own": loader(shuffle=True)}
    for told, real in cases.items():
        validate(watching(real=real), default_root_dir=tmp_path)
        page = page_of(tmp_path, "report-validate.html")
        assert told in page.said
        assert "Generated, farthest from the real images" in page.headings
        assert "Real images not covered" not in page.headings


def test_without_features_there_are_samples_and_curves(tmp_path: Path) -> None:
    fit(watching(measures=[FID()]), default_root_dir=tmp_path)
    page = page_of(tmp_path)
    assert "PRDC() or KID() shows it" in page.said
    assert frames(page) == [0, 1]


def test_what_cannot_be_read_again_does_not_end_a_training(tmp_path: Path) -> None:
    class Once(torch.utils.data.Dataset[Any]):
        reads = 0

        def __len__(self) -> int:
            return len(REAL)

        def __getitem__(self, i: int) -> Tensor:
            self.reads += 1
            if self.reads > len(REAL):
                raise OSError("read once")
            return REAL[i]

    with pytest.warns(UserWarning, match=r"The report shows no new images: OSError\('read once'\)"):
        validate(watching(), real=torch.utils.data.DataLoader(Once(), batch_size=4), default_root_dir=tmp_path)
    assert page_of(tmp_path, "report-validate.html").headings[0] == "Scores"


def test_a_look_that_fails_does_not_end_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, look = [], Findings.of

    def fail_later(*of: Any) -> Findings:
        looked.append(of)
        if len(looked) > 1:
            raise torch.linalg.LinAlgError("failed to converge")
        return look(*of)

    monkeypatch.setattr(Findings, "of", fail_later)
    fit(watching(), max_epochs=1, default_root_dir=tmp_path / "shown")
    looked.clear()
    with pytest.warns(UserWarning, match=r"The report shows no new images: .*failed to converge"):
        fitted = fit(watching(), max_epochs=2, default_root_dir=tmp_path / "failed")
    assert fitted.current_epoch == 2
    shown, failed = (page_of(tmp_path / name) for name in ("shown", "failed"))
    assert listed(failed)[::7] == ["0", "1"]
    assert ("Map of features" in shown.headings, "Map of features" in failed.headings) == (True, False)


def test_the_training_is_the_same_with_and_without_it(tmp_path: Path) -> None:
    def weights(report: bool) -> dict[str, Tensor]:
        seed_everything(0, verbose=False)
        model = Model()
        fit(monitor(MEASURES, report=report), model=model, default_root_dir=tmp_path)
        return model.state_dict()

    without, watched = weights(False), weights(True)
    assert all(torch.equal(without[name], watched[name]) for name in without)


# The signature as a hyper-parameter.


class Named(Model):
    """A model with hyper-parameters of its own."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.width = width
        self.save_hyperparameters()


@pytest.mark.parametrize(("model", "own"), [(Named, {"width": 3}), (Model, {})])
def test_the_signature_joins_the_hyper_parameters(tmp_path: Path, model: type[LightningModule], own: Any) -> None:
    loggers = [TensorBoardLogger(tmp_path / "tb", "", ""), CSVLogger(tmp_path / "csv", "", "")]
    callback = monitor([FID()])
    fit(callback, model=model(), logger=loggers)
    expected = own | {"val/signature": callback.metric.signature()}
    assert "real:23|fake:20" in expected["val/signature"]
    for folder in ("tb", "csv"):
        assert yaml.safe_load((tmp_path / folder / "hparams.yaml").read_text()) == expected
    points = events(tmp_path / "tb").Tags()["scalars"]
    assert ("hp_metric" in points) == bool(own)


# Thumbnails.


def few(index: Tensor, side: int = 16) -> Thumbnails:
    kept = Thumbnails(capacity=5, side=8)
    for part in index.split(3):
        kept.update(part.to(torch.uint8)[:, None, None, None].expand(-1, 3, side, side), part)
    return kept


def test_the_same_thumbnails_stay_in_any_order() -> None:
    for seed in range(5):
        shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
        kept = few(shuffled)
        assert sorted(kept.index.tolist()) == sorted(few(torch.arange(40)).index.tolist())
        assert kept.images.shape == (5, 3, 8, 8)
        assert torch.equal(kept.images[:, 0, 0, 0].long(), kept.index)


def gathered(group: Any, index: Tensor) -> tuple[list[int], list[int]]:
    kept, comm = few(index, side=16 if len(index) < 30 else 12), Comm(group)
    ids = kept.common(comm)
    return ids.tolist(), kept.gather(ids, comm)[:, 0, 0, 0].tolist()


def test_ranks_agree_on_thumbnails_one_without_any(ranks: Ranks) -> None:
    alone = gathered(None, torch.arange(40))
    assert alone[0] == alone[1]
    index = torch.arange(40)
    assert ranks.run(3, gathered, each=[index[:7], index[:0], index[7:]]) == [alone] * 3


def other_each_epoch(model: LightningModule, n: int) -> Tensor:
    return REAL[:n] // (1 + model.current_epoch)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
@pytest.mark.parametrize("measures", [[PRDC(k=2, recall=False)], [NDB(bins=3)]], ids=str)
def test_measures_that_bind_keep_features_for_the_gallery_and_their_values(measures: list[Any], tmp_path: Path) -> None:
    options = {"measures": measures, "sample": other_each_epoch, "batch_size": 20}
    kept, bound = watching(**options), watching(**options, report=False)
    folders = tmp_path / "kept", tmp_path / "bound"
    values = [
        fit(one, max_epochs=2, default_root_dir=folder).callback_metrics for one, folder in zip((kept, bound), folders)
    ]
    assert values[0] == values[1]
    assert (kept_features(kept.metric), kept_features(bound.metric)) == (20, 0)
    page = page_of(folders[0])
    assert len(section(page, "Fixed samples")) == len(section(page, "Generated, nearest")) == 2 * 16


def test_a_limit_of_the_users_stands_beside_a_report(tmp_path: Path) -> None:
    callback = watching(measures=[PRDC(k=2, recall=False)], bind_limit=1 << 20)
    fit(callback, max_epochs=2, logger=CSVLogger(tmp_path, "", ""))
    assert kept_features(callback.metric) == 0
    assert "No measure here keeps features of both sides" in page_of(tmp_path).said
