"""Evidence of one score alone: of the samples so far, or of those that a copy was made of."""

from __future__ import annotations

import pytest
import torch
from conftest import draw_features

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics

WIDTH, REAL, FAKE = 6, draw_features(1, 150), draw_features(0, 300, shift=0.3)


def metric() -> GenerativeMetrics:
    made = GenerativeMetrics([PRDC(k=3), FID(se=True), KID(subsets=None)], extractor=None, num_features=WIDTH)
    made.update(REAL.pool, real=True, index=torch.arange(150))
    return made


@pytest.mark.parametrize("key", ["fd_features", "kd_features"])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_it_is_that_of_compute_at_as_many_samples(key: str, is_frozen: bool) -> None:
    one, other = metric(), metric()
    if is_frozen:
        one.freeze_real()
        other.freeze_real()
    one.update(FAKE.pool[:200], real=False, index=torch.arange(200))
    other.update(FAKE.pool[:200], real=False, index=torch.arange(200))
    copy = one.generated_for(key)
    one.update(FAKE.pool[200:], real=False, index=torch.arange(200, 300))
    other.compute()
    expected, found = other.evidence[key], one.evidence_of(key, copy)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.fake.values == pytest.approx(expected.fake.values, rel=1e-9)
    assert found.fake.num_samples == 200
    assert one.evidence_of(key).fake.num_samples == 300  # states stay as they are


@pytest.mark.parametrize(("key", "message"), [("fid", "one of the keys"), ("recall_features", "has evidence")])
def test_a_score_without_evidence_is_an_error(key: str, message: str) -> None:
    one = metric()
    one.update(FAKE.pool, real=False)
    with pytest.raises(ValueError, match=message):
        one.evidence_of(key)
