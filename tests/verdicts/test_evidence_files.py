"""Evidence in files: the same bits again, small, and refused with the key's name where it is damaged."""

from __future__ import annotations

import json
from math import hypot, isnan, nan
from typing import Any

import numpy as np
import pytest

from streaming_metrics.verdicts.evidence import Evidence, Influence
from streaming_metrics.verdicts.files import from_json, to_json
from streaming_metrics.verdicts.paired import paired, unpaired


def influence(n: int, seed: int, most: int = 50_000, cluster: int = 1) -> Influence:
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(most, n, replace=False))
    return Influence(index, rng.normal(size=n) * 37, most, cluster)


def evidence(key: str = "fid", n: int = 2000, real: bool = True, value: float = 3.7, seed: int = 0) -> Evidence:
    return Evidence(key, value, influence(n, seed), influence(n, 100, most=n) if real else None, both=real)


@pytest.mark.parametrize("one", [evidence(), evidence(real=False), evidence("precision", value=nan)])
def test_what_is_read_has_the_bits_of_what_was_told(one: Evidence) -> None:
    written = json.dumps(to_json({one.key: one}), indent=2, allow_nan=False)
    read = from_json(json.loads(written))[one.key]
    assert (read.key, read.better, read.both) == (one.key, one.better, one.both)
    assert read.value == one.value or (isnan(read.value) and isnan(one.value))
    assert (read.real is None) == (one.real is None)
    for ours, theirs in [(one.fake, read.fake), *([(one.real, read.real)] if one.real and read.real else [])]:
        assert ours.index.tolist() == theirs.index.tolist()
        assert ours.values.tobytes() == theirs.values.tobytes()
        assert (ours.num_samples, ours.cluster) == (theirs.num_samples, theirs.cluster)


def test_a_key_of_2000_rows_a_side_takes_less_than_100_kilobytes() -> None:
    assert len(json.dumps(to_json({"fid": evidence()}), indent=2)) < 100_000


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("ids", "0 2 1", "fid: fake: expected ids that ascend"),
        ("ids", "-1 2 3", "fid: fake: expected ids that ascend"),
        ("ids", "0 1 x", "fid: fake: expected ids and influence values"),
        ("ids", "0 1", "fid: fake: expected as many ids"),
        ("ids", [0, 1, 2], "fid: fake: expected ids and influence values"),
        ("ids", f"0 1 {1 << 70}", "fid: fake: expected ids and influence values"),
        ("influence", "AAAA", "fid: fake: expected ids and influence values"),
        ("influence", "not base64", "fid: fake: expected ids and influence values"),
        ("num_samples", 2, "fid: fake: expected as many ids"),
        ("num_samples", True, "fid: fake: expected counts"),
        ("cluster", 0, "fid: fake: expected counts"),
    ],
)
def test_a_damaged_side_is_refused_by_the_name_of_its_key(part: str, value: Any, said: str) -> None:
    told = to_json({"fid": evidence(n=3, real=False)})
    told["fid"]["fake"][part] = value
    with pytest.raises(ValueError, match=said):
        from_json(told)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "expected an object of keys, got list"),
        ({"kid": 3}, "evidence of kid: expected its parts"),
        ({"kid": {"value": "x", "better": "lower", "both": False, "fake": {}}}, "evidence of kid: expected a value"),
        ({"kid": {"value": 1, "better": "best", "both": False, "fake": {}}}, "lower or higher"),
        ({"kid": {"value": 1, "better": "lower", "both": 1, "fake": {}}}, "true or false"),
        ({"kid": {"value": 1, "better": "lower", "both": False, "fake": {}}}, "kid: fake: expected cluster, ids"),
    ],
)
def test_damaged_evidence_is_refused(told: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json(told)


def test_influence_that_is_not_finite_is_refused() -> None:
    one = Evidence("fid", 1.0, Influence(np.arange(2), np.array([1.0, nan]), 2))
    with pytest.raises(ValueError, match="finite"):
        from_json(to_json({"fid": one}))


def test_an_unpaired_interval_takes_other_samples_and_is_that_of_independent_errors() -> None:
    one, other = evidence(seed=1), evidence(seed=2, value=2.5)
    with pytest.raises(ValueError, match="ids of one side only"):
        paired(one, other)
    found = unpaired(one, other)
    assert found.error == pytest.approx(hypot(one.fake.error, other.fake.error))  # the real noise is the same: 0
    assert (found.difference, found.correlation) == (pytest.approx(1.2), 0.0)


def test_an_unpaired_interval_of_the_same_seeds_is_wider() -> None:
    one = evidence(real=False)
    noise = np.random.default_rng(5).normal(size=len(one.fake.values))
    other = Evidence("fid", one.value, Influence(one.fake.index, one.fake.values + noise, one.fake.num_samples))
    together, apart = paired(one, other), unpaired(one, other)
    assert apart.error / together.error == pytest.approx(together.gain)
    assert together.gain > 10


def test_a_score_against_itself_differs_by_nothing() -> None:
    found = paired(evidence(), evidence())
    assert (found.difference, found.error, found.z, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert found.verdict() == "undecided"
