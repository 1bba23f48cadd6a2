"""Captions: hashes of texts that never change, and digests of a side's, in whatever order."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streaming_metrics import Features, caption_hashes
from streaming_metrics.statistics import CaptionDigest, KnownCaptions

DIGEST = CaptionDigest()


def digest(captions: torch.Tensor) -> str:
    return DIGEST.read(DIGEST.update(DIGEST.empty(), Features(captions=captions)))


@given(st.lists(st.text()))
def test_a_hash_is_of_the_sha256_of_utf8(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    bits = [int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) for text in texts]
    assert caption_hashes(texts).tolist() == [b - 2**64 if b >= 2**63 else b for b in bits]


def test_hashes_are_those_of_every_version() -> None:
    assert caption_hashes(["a cat", "a dog", ""]).tolist() == [
        5900954942076057986,
        9060669101138719874,
        -2039914840885289964,
    ]
    assert caption_hashes([]).shape == (0,)


@pytest.mark.parametrize("texts", [["a cat", 3], [b"a cat"], [None]])
def test_what_is_no_text_is_refused(texts: list[Any]) -> None:
    with pytest.raises(TypeError, match="captions: expected texts, got"):
        caption_hashes(texts)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30), st.randoms())
def test_a_digest_is_of_the_captions_in_any_order_and_batches(captions: list[int], random: Any) -> None:
    whole, order = torch.tensor(captions), list(captions)
    random.shuffle(order)
    cut = random.randint(0, len(order))
    parts = [torch.tensor(part, dtype=torch.int64) for part in (order[:cut], order[cut:])]
    states = [DIGEST.update(DIGEST.empty(), Features(captions=part)) for part in parts]
    assert DIGEST.read(DIGEST.merge(states)) == digest(whole)


def test_a_digest_tells_other_captions_and_how_often_each_comes() -> None:
    a, b, c = caption_hashes(["a cat", "a dog", "a cow"])
    drawn = [[], [a], [b], [a, a], [a, b], [a, b, b], [a, a, b], [a, c], [a, a, a, a], [0, 0], [0], [-1]]
    assert len({digest(torch.tensor(one, dtype=torch.int64)) for one in drawn}) == len(drawn)


def test_captions_that_may_be_missing_are_counted_where_they_are_there() -> None:
    known = KnownCaptions()
    captions = caption_hashes(["a cat", "a dog"])
    state = known.update(known.empty(), Features(torch.zeros(3, 1)))
    state = known.update(state, Features(torch.zeros(2, 1), captions=captions))
    assert (known.count(state), known.read(state)) == (2, digest(captions))
    assert known.columns == ()
    with pytest.raises(ValueError, match=r"captions: expected int64 of shape \(2,\), got torch.int32"):
        known.update(state, Features(torch.zeros(2, 1), captions=captions.int()))
