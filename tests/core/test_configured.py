"""Metrics and monitors from configurations: Hydra, names, classes, text; and Lightning under its two names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, MEASURES, WIDTH, WIDTHS
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics, Measure, image
from streaming_metrics.monitor import GenerationMonitor

if TYPE_CHECKING:
    from pathlib import Path

HOUSE = "streaming_metrics."
METRIC = {
    "_target_": f"{HOUSE}GenerativeMetrics",
    "extractor": None,
    "num_features": WIDTH,
    "num_classes": CLASSES,
    "widths": WIDTHS,
}
MONITOR = {
    "_target_": f"{HOUSE}monitor.GenerationMonitor",
    "extractor": {"_target_": "torch.nn.Flatten"},
    "tag": "pixels",
    "num_features": 12,
}
FRECHET, NEAREST = {"_target_": f"{HOUSE}FID"}, {"_target_": f"{HOUSE}PRDC", "k": 3}


def measures_of(built: Any) -> list[Measure]:
    return list((built.metric if isinstance(built, GenerationMonitor) else built).measures)


def from_hydra(config: dict[str, Any], **more: Any) -> Any:
    return instantiate(OmegaConf.create(config | more))


def build(measures: Any, **options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(
        measures, extractor=None, num_features=WIDTH, num_classes=CLASSES, widths=WIDTHS, **options
    )


@pytest.mark.parametrize("convert", ["none", "partial", "object", "all"])
@pytest.mark.parametrize("target", [METRIC, MONITOR], ids=["metric", "monitor"])
def test_hydra_gives_a_list_of_measures(target: dict[str, Any], convert: str) -> None:
    built = from_hydra(target, measures=[FRECHET, NEAREST], _convert_=convert)
    assert measures_of(built) == [FID(), PRDC(k=3)]


@pytest.mark.parametrize(
    "measure",
    [*MEASURES, KID(seed=torch.Generator().manual_seed(0).get_state().numpy().tobytes())],
    ids=lambda measure: measure.describe(),
)
def test_every_measure_comes_back_from_omegaconf(measure: Measure) -> None:
    nodes = OmegaConf.create([measure], flags={"allow_objects": True})  # what Hydra makes of a list by default
    assert not isinstance(nodes[0], Measure)
    assert measures_of(build(nodes)) == [measure]
    assert measures_of(build([nodes[0]])) == [measure]


@pytest.mark.parametrize(
    "given",
    [
        FRECHET,
        {"a": FRECHET},
        "fid",
        ["fid"],
        "FID",
    ],
)
def test_hydra_gives_one_measure_a_table_or_a_name(given: Any) -> None:
    assert measures_of(from_hydra(METRIC, measures=given)) == [FID()]


@pytest.mark.parametrize(
    "given",
    [
        "fid,kid(subset_size=50)",
        ["fid", "kid(subset_size=50)"],
        ("fid,", KID(subset_size=50)),
        [FID, KID(subset_size=50)],
        iter([FID(), KID(subset_size=50)]),
        np.array(["fid", "kid(subset_size=50)"]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_measures_are_named_or_given_as_classes(given: Any) -> None:
    assert measures_of(build(given)) == [FID(), KID(subset_size=50)]


@pytest.mark.parametrize("given", [FID, FID(), "fid"], ids=repr)
def test_one_measure_needs_no_list(given: Any) -> None:
    assert measures_of(build(given)) == [FID()]
    monitor = GenerationMonitor(given, torch.nn.Flatten(), tag="pixels", num_features=12)
    assert monitor.keys == ("val/fd_pixels",)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, "expected at least one"),
        ("", ValueError, "expected at least one"),
        (None, TypeError, "got None among them. Remedy: "),
        ([FID(), 3], TypeError, "got 3 among them"),
        ([[FID()]], TypeError, r"got \[FID\(.*\)\] among them"),
        ({FID(), PRDC()}, TypeError, "got {.*} among them. Remedy: a list"),
        ([torch.nn.Flatten], TypeError, "Flatten"),
        ("fido", ValueError, "Did you mean 'fid'"),
        ("fid kid", ValueError, "expected a list like"),
        ("fid(k=3)", ValueError, "Unknown parameter of fid 'k'"),
    ],
)
def test_anything_else_is_told_in_one_line(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        build(given)
    assert "\n" not in str(caught.value)


def test_a_node_without_a_target_is_told() -> None:
    with pytest.raises(InstantiationException, match=r"got \{'k': 3\} among them.*_target_: streaming_metrics\.FID"):
        from_hydra(METRIC, measures=[{"k": 3}])


@pytest.mark.parametrize(
    "given",
    [(-1, 1), [-1, 1], "-1,1", "-1, 1", np.array([-1, 1]), (np.float32(-1), np.int64(1)), torch.tensor([-1.0, 1.0])],
    ids=repr,
)
def test_a_range_is_two_numbers_whatever_holds_them(given: Any) -> None:
    images = torch.rand(30, 3, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    values = []
    for value_range in (given, (-1, 1)):
        options = {"tag": "pixels", "num_features": 12, "value_range": value_range}
        metric = GenerativeMetrics([FID()], torch.nn.Flatten(), **options)
        metric.update(images, real=True)
        metric.update(images.square(), real=False)
        values.append(metric.compute()["fd_pixels"])
    assert torch.equal(*values)
    GenerationMonitor([FID()], torch.nn.Flatten(), **options)


def test_hydra_gives_a_range() -> None:
    assert from_hydra(MONITOR, measures="fid", value_range=[-1, 1]).value_range == (-1, 1)


@pytest.mark.parametrize(
    "given", [5, (0,), (0, 1, 2), (1, 0), "0-1", "01", (0, float("inf")), ("low", "high")], ids=repr
)
def test_another_range_is_told(given: Any) -> None:
    with pytest.raises(ValueError, match=r"value_range: expected \(0, 1\), \(-1, 1\) or None.*Remedy: two numbers"):
        build("fid", value_range=given)
    with pytest.raises(ValueError, match=r"value_range: expected"):
        GenerationMonitor("fid", torch.nn.Flatten(), tag="pixels", num_features=12, value_range=given)


def test_counts_of_a_configuration() -> None:
    settings = from_hydra(MONITOR, measures="fid", num_samples=1e4, batch_size="64").settings
    assert (settings.num_samples, settings.batch_size) == (10_000, 64)
    assert isinstance(settings.num_samples, int)
    for name in ("num_samples", "batch_size", "every_n_epochs", "log_images", "seed"):
        with pytest.raises(ValueError, match=rf"{name}: expected an integer, got 2\.5\. Remedy"):
            GenerationMonitor("fid", torch.nn.Flatten(), tag="pixels", num_features=12, **{name: 2.5})


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path], ids=["str", "fspath", "path"])
def test_paths_are_strings_or_paths(kind: Any, tmp_path: Path) -> None:
    metric = build("fid")
    metric.update(torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(0)), real=True)
    metric.save_reference(kind(tmp_path / "real"))
    assert build("fid", reference=kind(tmp_path / "real")).num_samples("real") == 9
    config = METRIC | {"measures": ["fid"], "reference": str(tmp_path / "real")}
    assert from_hydra(config).is_frozen


def test_a_drop_in_from_hydra() -> None:
    target = f"{HOUSE}image.FrechetInceptionDistance"
    module = {"_target_": "torch.nn.Flatten"}
    metric = from_hydra({"_target_": target, "feature": module, "normalize": True, "input_img_size": [3, 2, 2]})
    assert isinstance(metric, image.FrechetInceptionDistance)
    assert metric.spec.num_features == 12


# --- Lightning --------------------------------------------------------------------------------------------------------


def test_without_lightning_the_monitor_says_what_to_install() -> None:
    code = "import sys; sys.modules['lightning'] = None; import streaming_metrics.monitor"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert re.search(r"ImportError: .*pip install lightning, and import lightning\.pytorch in place of", done.stderr)


def test_a_trainer_of_pytorch_lightning_is_told_at_the_start_of_fit() -> None:
    pytorch_lightning = pytest.importorskip("pytorch_lightning")

    class Model(pytorch_lightning.LightningModule):
        def training_step(self, *_: Any) -> None:
            raise AssertionError("the run began")

        def configure_optimizers(self) -> None:
            return None

    monitor = GenerationMonitor("fid", torch.nn.Flatten(), tag="pixels", num_features=12)
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pytorch_lightning.Trainer(max_epochs=1, accelerator="cpu", callbacks=[monitor], **off)
    with pytest.raises(ValueError, match=r"expected a Trainer of lightning\.pytorch, got .*pytorch_lightning.*Remedy"):
        trainer.fit(Model(), torch.zeros(2, 1))
