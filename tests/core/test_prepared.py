"""What is saved of a prepared side is refused where it cannot be of that side, and the metric is then as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from binding_cases import add, bound, build, floats
from safetensors.torch import load_file

from streaming_metrics import PRDC, GenerativeMetrics, load_reference, merge_states
from streaming_metrics.core.shell import STATE_KIND
from streaming_metrics.files.tensors import write_tensors
from streaming_metrics.measures.authenticity import AuthPct
from streaming_metrics.measures.bins import NDB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

MEASURES = [PRDC(k=3, recall=False), NDB(bins=3), AuthPct()]
TENSORS = ["radii", "centres", "counts", "squared"]
OF_REALS = TENSORS[:3]

CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "fewer": lambda t: t[:-1],
    "more": lambda t: torch.cat([t, t[:1]]),
    "of no samples": lambda t: t[:0],
    "flat": lambda t: t.new_zeros(()),
    "deeper": lambda t: t.unsqueeze(-1),
    "of another dtype": lambda t: t.to(torch.float32 if t.dtype == torch.float64 else torch.float64),
    "NaN": lambda t: torch.full_like(t, float("nan")) if t.is_floating_point() else t * float("nan"),
    "infinite": lambda t: t + float("inf"),
    "negative": lambda t: -t - 1,
}
CASES = [
    pytest.param(name, change, id=f"{name} {how}")
    for name in TENSORS
    for how, change in CHANGES.items()
    if (name, how) != ("centres", "negative")  # which centres may be
    and not (name in ("radii", "squared") and how == "of no samples")  # which is as if it were not prepared
]
OF_REFERENCES = [case for case in CASES if case.values[0] in OF_REALS]


def changed(tensors: dict[str, Any], name: str, change: Any) -> dict[str, Any]:
    (whole,) = [key for key in tensors if f"_{name}_" in key and "_prepared_" in key]
    return {**tensors, whole: change(tensors[whole])}


def saved() -> dict[str, Any]:
    metric = bound(MEASURES, 0)
    metric.persistent(True)
    return metric.state_dict()


def check_unchanged(metric: GenerativeMetrics, act: Callable[[], Any], error: type[Exception]) -> None:
    before = {name: getattr(metric, name).clone() for name in metric._defaults}
    values = floats(metric.compute())
    with pytest.raises(error, match=r"State .*expected"):
        act()
    assert all(getattr(metric, name).equal(tensor) for name, tensor in before.items())
    assert floats(metric.compute()) == values


@pytest.mark.parametrize(("name", "change"), CASES)
@pytest.mark.parametrize("is_bound", [False, True])
def test_a_state_dict_is_refused(name: str, change: Any, is_bound: bool) -> None:
    metric = bound(MEASURES, 1) if is_bound else build(MEASURES)
    if not is_bound:
        for role in metric.roles:
            add(metric, role, 5, 6)
    given = changed(saved(), name, change)
    check_unchanged(metric, lambda: metric.load_state_dict(given), RuntimeError)


@pytest.mark.parametrize("value", [None, "text", 3.0, [1.0]])
def test_what_is_no_tensor_is_refused(value: Any) -> None:
    metric, given = bound(MEASURES, 1), changed(saved(), "radii", lambda _: value)
    check_unchanged(metric, lambda: metric.load_state_dict(given), RuntimeError)


@pytest.mark.parametrize(("name", "change"), CASES)
def test_a_state_file_is_refused(name: str, change: Any, tmp_path: Path) -> None:
    metric = bound(MEASURES, 0)
    metric.save_state(tmp_path / "state.safetensors")
    tensors = changed(load_file(tmp_path / "state.safetensors"), name, lambda t: change(t).contiguous())
    write_tensors(tmp_path / "changed.safetensors", tensors, STATE_KIND, metric.fingerprint)
    check_unchanged(metric, lambda: merge_states(metric, [tmp_path / "changed.safetensors"]), ValueError)


@pytest.mark.parametrize(("name", "change"), OF_REFERENCES)
def test_a_reference_is_refused(name: str, change: Any, tmp_path: Path) -> None:
    bound(MEASURES[:2]).save_reference(tmp_path / "real.safetensors")
    reference = load_reference(tmp_path / "real.safetensors")
    reference = replace(reference, prepared=changed(dict(reference.prepared), name, change))
    with pytest.raises(ValueError, match=r"State .*expected"):
        build(MEASURES[:2], reference=reference)


def test_of_a_side_that_is_not_frozen_or_not_whole_nothing_is_prepared() -> None:
    for flag in ([0, 0, 1], [1, 0, 2]):
        given = saved()
        (name,) = [key for key in given if key.startswith("real_frozen")]
        metric = bound(MEASURES, 1)
        with pytest.raises(RuntimeError, match=r"State real_prepared of .*whole frozen real side"):
            metric.load_state_dict({**given, name: torch.tensor(flag)})


def test_a_count_that_is_none_is_refused_before_it_is_read() -> None:
    given = saved()
    for name in [key for key in given if key.startswith(("real_count", "train_count"))]:
        for value in (torch.tensor([3, 4]), torch.tensor(0.5), torch.tensor(-1), None):
            metric = bound(MEASURES, 1)
            check_unchanged(metric, lambda m=metric, v=value, n=name: m.load_state_dict({**given, n: v}), RuntimeError)
