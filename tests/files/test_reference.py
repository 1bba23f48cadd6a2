"""A saved real side: the same bits back, the same scores, and nothing else taken for one."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CLASSES, MEASURES, STATISTICS, WIDTH, WIDTHS, draw_features, draw_sides, name_of
from safetensors.torch import save_file

from streaming_metrics import FID, PRDC, GenerativeMetrics, Reference, load_reference
from streaming_metrics.files import tensors

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

FURTHER = "-".join(f"{column}-{width}" for column, width in sorted(WIDTHS.items()))
FINGERPRINT = f"features-{WIDTH}-{CLASSES}-{FURTHER}"


def build(*measures: Any, **options: Any) -> GenerativeMetrics:
    options = {"num_features": WIDTH, "num_classes": CLASSES, "widths": WIDTHS} | options
    return GenerativeMetrics(measures or [FID()], extractor=None, **options)


def with_real(*measures: Any) -> GenerativeMetrics:
    metric = build(*measures)
    metric.update(draw_features(1), real=True)
    return metric


def values(metric: GenerativeMetrics) -> dict[str, float]:
    """Return the values once samples of all other roles are in."""
    for role, features in draw_sides(metric).items():
        if role != "real":
            metric.update(features, role=role)
    return {key: value.item() for key, value in metric.compute().items()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    with_real().save_reference(tmp_path / "real.safetensors")
    return tmp_path / "real.safetensors"


# --- what is saved is what is loaded ----------------------------------------------------------------------------------


def test_every_statistic_comes_back_bit_by_bit(tmp_path: Path) -> None:
    states = {s.name: s.update(s.empty(), draw_features(0)) for s in STATISTICS}
    Reference("a fingerprint", states).save(tmp_path / "all")
    loaded = Reference.load(tmp_path / "all")
    assert loaded.fingerprint == "a fingerprint"
    for statistic in STATISTICS:
        state = loaded.state_of(statistic)
        assert state.keys() == states[statistic.name].keys()
        for key, tensor in states[statistic.name].items():
            assert torch.equal(state[key], tensor)
            assert state[key].dtype == tensor.dtype


@pytest.mark.parametrize("measure", MEASURES, ids=name_of)
def test_a_metric_with_a_reference_scores_as_one_with_the_samples(measure: Any, tmp_path: Path) -> None:
    metric = with_real(measure)
    metric.save_reference(tmp_path / "real")
    expected = values(metric)
    for reference in (tmp_path / "real", str(tmp_path / "real"), load_reference(tmp_path / "real")):
        # rows are written in the order of their ids, which rounds KID's sums otherwise
        assert values(build(measure, reference=reference)) == pytest.approx(expected, rel=1e-6)


def test_a_reference_of_more_measures_serves_fewer(tmp_path: Path) -> None:
    with_real(FID(), PRDC(k=3)).save_reference(tmp_path / "both")
    assert values(build(FID(), reference=tmp_path / "both")) == values(with_real(FID()))


def test_a_metric_with_a_reference_takes_no_real_samples_and_keeps_it_on_reset(saved: Path) -> None:
    metric = build(reference=saved)
    with pytest.raises(RuntimeError, match="frozen reference"):
        metric.update(draw_features(3), real=True)
    before = values(metric)
    metric.reset()
    assert values(metric) == before


def test_a_save_that_fails_leaves_the_file_that_was_there(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_tensors: Any, path: Path, **_options: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        with_real().save_reference(saved)
    assert values(build(reference=saved)) == values(with_real())


# --- what is refused --------------------------------------------------------------------------------------------------


class Exploit:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    for name, dump in (("pickle", pickle.dump), ("torch", torch.save)):
        with (tmp_path / name).open("wb") as file:
            dump({"moments": Exploit(tmp_path / "owned")}, file)
        with pytest.raises(ValueError, match=f"{name}: expected a .* file, got one that does not read"):
            build(reference=tmp_path / name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"real\.safetensors: expected a .* file, got one that does not read"):
        build(reference=saved)


@pytest.mark.parametrize("position", [-1, -8, -200])
def test_a_changed_byte_is_refused(saved: Path, position: int) -> None:
    whole = bytearray(saved.read_bytes())
    whole[position] ^= 1
    saved.write_bytes(whole)
    with pytest.raises(ValueError, match="the file is damaged, its checksum does not hold"):
        build(reference=saved)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"found none at {path}"):
            build(reference=path)


def test_other_files_and_other_versions_are_named(tmp_path: Path) -> None:
    with_real().save_state(tmp_path / "state")
    with pytest.raises(ValueError, match=r"expected a .* reference 1 file, got streaming-metrics state 1"):
        build(reference=tmp_path / "state")
    tensors.write_tensors(
        tmp_path / "next", {"moments_6/moments": torch.zeros(7, 7)}, "streaming-metrics reference 2", FINGERPRINT
    )
    with pytest.raises(ValueError, match="reference 1 file, got streaming-metrics reference 2"):
        build(reference=tmp_path / "next")
    save_file({"moments_6/moments": torch.zeros(7, 7)}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="got a file of another program"):
        build(reference=tmp_path / "foreign")


def test_features_of_another_extractor_are_refused_naming_both(saved: Path) -> None:
    with pytest.raises(
        ValueError, match=f"expected features of 'features-7-{CLASSES}-{FURTHER}', got features of '{FINGERPRINT}'"
    ):
        build(num_features=7, reference=saved)


def test_a_reference_without_the_statistic_is_refused_naming_both(saved: Path) -> None:
    with pytest.raises(ValueError, match=r"expected the statistic 'bank_6', got .*'moments_6'.*Remedy"):
        build(PRDC(k=3), reference=saved)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"other": torch.zeros(WIDTH + 1, WIDTH + 1, dtype=torch.float64)},
        {"moments": torch.zeros(WIDTH + 1, WIDTH + 1)},
        {"moments": torch.zeros(WIDTH, WIDTH, dtype=torch.float64)},
    ],
)
def test_a_state_that_is_none_is_refused(state: dict[str, torch.Tensor]) -> None:
    states = {"count": {"n": torch.tensor(9)}, f"moments_{WIDTH}": state}
    with pytest.raises(ValueError, match=f"State moments_{WIDTH}.*: expected"):
        build(reference=Reference(FINGERPRINT, states))
