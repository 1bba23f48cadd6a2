"""Evidence of one score alone: of the samples so far, or of those that a copy was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import draw_features

from streaming_metrics import FID, KID, PRDC, GenerativeMetrics

if TYPE_CHECKING:
    from conftest import Ranks

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


def test_the_digest_of_samples_is_of_them_alone() -> None:
    """In other orders, batches and layouts the same; of as many other samples another."""
    images = torch.randint(256, (40, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    digests = []
    for given, size in ((images, 40), (images.flip(0), 7), (images ^ (torch.arange(40) == 3).view(-1, 1, 1, 1), 40)):
        metric = GenerativeMetrics([FID()], torch.nn.Flatten(), num_features=12)
        for batch in given.split(size):
            metric.update(batch, real=True)
        before = metric.samples_digest("real")
        metric.freeze_real()
        assert metric.samples_digest("real") == before
        digests.append(before)
    assert digests[0] == digests[1] != digests[2]


def digest(group: Any, world_size: int) -> str | None:
    metric = GenerativeMetrics([FID()], extractor=None, num_features=WIDTH, process_group=group)
    metric.update(REAL.pool[metric.ranks().rank :: world_size], real=True)
    return metric.samples_digest("real")


def test_ranks_know_the_digest_of_all_samples(ranks: Ranks) -> None:
    assert {world_size: set(ranks.run(world_size, digest, world_size)) for world_size in (1, 2, 3)} == {
        1: (alone := {digest(None, 1)}),
        2: alone,
        3: alone,
    }
    assert alone != {None}
