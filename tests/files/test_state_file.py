"""Saved samples: written by some ranks, read by others; damage is refused and loses nothing."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import CLASSES, WIDTH, draw_features
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming_metrics import FID, IS, KID, PRDC, GenerativeMetrics, merge_states
from streaming_metrics.files.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from conftest import Ranks

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

ALL = [FID(), KID(subsets=5, subset_size=8), IS(splits=3), PRDC(k=3)]


def build(**options: Any) -> GenerativeMetrics:
    return GenerativeMetrics(ALL, extractor=None, num_features=WIDTH, num_classes=CLASSES, **options)


def filled(*parts: slice) -> GenerativeMetrics:
    metric = build()
    for part in parts or (slice(None),):
        metric.update(draw_features(1)[part], real=True)
        metric.update(draw_features(2, shift=0.3)[part], real=False)
    return metric


def values(metric: GenerativeMetrics) -> dict[str, float]:
    return {key: value.item() for key, value in metric.compute().items()}


def read_together(group: Any, paths: list[Path]) -> dict[str, float]:
    metric = build(process_group=group)
    merge_states(metric, paths)
    return values(metric)


@pytest.mark.parametrize("readers", [1, 2, 4])
def test_three_jobs_write_and_any_number_of_ranks_read(ranks: Ranks, tmp_path: Path, readers: int) -> None:
    paths = [tmp_path / f"{job}.safetensors" for job in range(3)]
    for path, part in zip(paths, (slice(0, 20), slice(20, 21), slice(21, 40))):
        filled(part).save_state(path)
    for answer in ranks.run(readers, read_together, paths):
        assert answer == pytest.approx(values(filled()), rel=1e-6)


def test_a_metric_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    filled(slice(0, 17)).save_state(tmp_path / "half")
    resumed = build()
    merge_states(resumed, [tmp_path / "half"])
    resumed.update(draw_features(1)[17:], real=True)
    resumed.update(draw_features(2, shift=0.3)[17:], real=False)
    assert values(resumed) == pytest.approx(values(filled()), rel=1e-6)


def refused(path: Path, message: str, error: type[Exception] = ValueError) -> None:
    metric = filled()
    before = {name: state.clone() for name, state in metric.metric_state.items()}
    with pytest.raises(error, match=message):
        merge_states(metric, [path])
    assert all(torch.equal(before[name], state) for name, state in metric.metric_state.items())


def test_other_files_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none", "found none at", FileNotFoundError)
    (tmp_path / "pickle").write_bytes(pickle.dumps({"a": 1}))
    refused(tmp_path / "pickle", "does not read")
    filled().save_reference(tmp_path / "reference")
    refused(tmp_path / "reference", "expected a streaming-metrics state 1 file, got streaming-metrics reference 1")
    other = GenerativeMetrics(ALL, extractor=None, num_features=7, num_classes=CLASSES)
    other.save_state(tmp_path / "wide")
    refused(tmp_path / "wide", "expected features of 'features-6-5', got features of 'features-7-5'")
    GenerativeMetrics([FID()], extractor=None, num_features=WIDTH, num_classes=CLASSES).save_state(tmp_path / "fid")
    refused(tmp_path / "fid", "same measures")


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    filled().save_state(tmp_path / "whole")
    return (tmp_path / "whole").read_bytes()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    path = tmp_path / "state"
    position = data.draw(st.integers(0, len(whole) - 1), label="position")
    if data.draw(st.booleans(), label="truncate"):
        path.write_bytes(whole[:position])
    else:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        path.write_bytes(flipped)
    refused(path, "state: ")


def test_a_file_is_as_readable_as_others_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("file", "link"):
        write_tensors(tmp_path / name, {"x": torch.zeros(1)}, "kind", "print")
        assert (tmp_path / name).stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "link").is_symlink()
    assert read_tensors(tmp_path / "target", "kind")[0]["x"].tolist() == [0.0]
