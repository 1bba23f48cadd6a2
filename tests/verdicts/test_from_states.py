"""Evidence of what was saved: states and references compare as the metrics that wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from streaming_metrics import FID, BiasWarning, GenerativeMetrics, paired
from streaming_metrics.core.saved_states import merged

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from streaming_metrics import Comparison

D = 4


def rows(seed: int, noise: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(100, D, generator=generator)
    return drawn + noise * torch.randn(100, D, generator=generator)


def scored(fake: Tensor, *, both: bool = False) -> GenerativeMetrics:
    metric = GenerativeMetrics([FID(se=True, both=both)], None, num_features=D)
    metric.update(rows(0), real=True, index=torch.arange(100))
    metric.update(fake, real=False, index=torch.arange(100))
    metric.compute()
    return metric


def compared(one: GenerativeMetrics, other: GenerativeMetrics) -> Comparison:
    return paired(one.evidence["fd_features"], other.evidence["fd_features"])


def test_saved_states_compare_as_their_metrics(tmp_path: Path) -> None:
    metrics, loaded = [scored(rows(1)), scored(rows(1, noise=0.1))], []
    for i, metric in enumerate(metrics):
        metric.save_state(tmp_path / f"{i}")
        loaded.append(merged([tmp_path / f"{i}"]))
        loaded[-1].compute()
    assert compared(*loaded) == compared(*metrics)
    assert compared(*loaded).correlation > 0.9


def test_references_compare_as_generated_sides(tmp_path: Path) -> None:
    metrics, loaded = [scored(rows(1)), scored(rows(1, noise=0.1))], []
    for i, noise in enumerate((0.0, 0.1)):
        saved = GenerativeMetrics([FID(se=True, both=True)], None, num_features=D)
        saved.update(rows(1, noise), real=True, index=torch.arange(100))
        saved.save_reference(tmp_path / f"{i}.safetensors")
        loaded.append(GenerativeMetrics([FID(se=True)], None, num_features=D))
        loaded[-1].update(rows(0), real=True, index=torch.arange(100))
        loaded[-1].merge_reference(tmp_path / f"{i}.safetensors")
        loaded[-1].compute()
    found, expected = compared(*loaded), compared(*metrics)
    assert found.difference == pytest.approx(expected.difference, rel=1e-6)
    assert found.error == pytest.approx(expected.error, rel=1e-6)


@pytest.mark.parametrize(("measure", "lacking"), [(FID(), "features"), (FID(se=True), "moments of half")])
def test_a_reference_that_lacks_what_errors_are_made_of_says_so(tmp_path: Path, measure: FID, lacking: str) -> None:
    saved = GenerativeMetrics([measure], None, num_features=D)
    saved.update(rows(1), real=True)
    saved.save_reference(tmp_path / "old.safetensors")
    metric = GenerativeMetrics([FID(se=True)], None, num_features=D)
    metric.update(rows(0), real=True)
    metric.merge_reference(tmp_path / "old.safetensors")
    with pytest.warns(BiasWarning, match=f"expected {lacking} .*reference --se"):
        values = metric.compute()
    assert values["fd_features"].isfinite()
    assert values["fd_corrected_features"].isnan()


def test_a_real_side_of_moments_alone_is_given(tmp_path: Path) -> None:
    saved = GenerativeMetrics([FID()], None, num_features=D)
    saved.update(rows(0), real=True)
    saved.save_reference(tmp_path / "old.safetensors")
    found = []
    for noise in (0.0, 0.1):
        metric = GenerativeMetrics([FID(se=True)], None, num_features=D, reference=tmp_path / "old.safetensors")
        metric.update(rows(1, noise), real=False, index=torch.arange(100))
        metric.compute()
        found.append(metric)
    assert found[0].evidence["fd_features"].real is None
    whole = compared(scored(rows(1)), scored(rows(1, noise=0.1)))
    assert compared(*found).difference == pytest.approx(whole.difference)
    with pytest.raises(ValueError, match="expected real features behind both scores or neither"):
        compared(found[0], scored(rows(1)))
