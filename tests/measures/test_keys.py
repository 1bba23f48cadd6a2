"""Keys of results: told apart where two measures share them, and read back as the scalars that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming_metrics.measures import FID, IS, KID, PRDC, Measure, Scalar
from streaming_metrics.measures.keys import key_of, known_scalars, parse_key, scalar_of
from streaming_metrics.measures.registry import MEASURES, known_measures, reported_keys


@dataclass(frozen=True)
class Corrected(FID):
    """A distance of one's own, with a standard error and a p-value."""

    rate: float = 1.0

    label: ClassVar[str] = "corrected"

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        return (
            Scalar("corrected", "Corrected distance", "lower"),
            Scalar("corrected_error", family="Corrected distance", spread_of="corrected"),
            Scalar("corrected_p", "p-value"),
        )


@dataclass(frozen=True)
class Twin(FID):
    """A measure of one's own that yields FID's key."""

    label: ClassVar[str] = "twin"


PRDC_KEYS = ("precision", "recall", "density", "coverage")
QUALIFIED = {
    (PRDC(), PRDC(k=3)): [{key: key for key in PRDC_KEYS}, {key: f"{key}_k3" for key in PRDC_KEYS}],
    (PRDC(k=3), PRDC()): [{key: key for key in PRDC_KEYS}, {key: f"{key}_k5" for key in PRDC_KEYS}],
    (KID(), KID(gamma=0.5)): [
        {"kid": "kid", "kid_std": "kid_std"},
        {"kid": "kid_gamma0_5", "kid_std": "kid_std_gamma0_5"},
    ],
    (KID(), KID(subsets=None)): [
        {"kid": "kid", "kid_std": "kid_std"},
        {"kid": "kid_subsetsNone", "kid_se": "kid_se_subsetsNone"},
    ],
    (KID(gamma=0.5), KID()): [
        {"kid": "kid", "kid_std": "kid_std"},
        {"kid": "kid_gammaNone", "kid_std": "kid_std_gammaNone"},
    ],
    (FID(), Twin()): [{"fid": "fid"}, {"fid": "fid_twin"}],
    (FID(), KID(subsets=None)): [{"fid": "fid"}, {"kid": "kid", "kid_se": "kid_se"}],
}


@pytest.mark.parametrize(("measures", "keys"), QUALIFIED.items(), ids=str)
def test_the_first_has_its_keys_bare_and_a_later_one_its_parameters(
    measures: tuple[Measure, ...], keys: list[dict[str, str]]
) -> None:
    assert list(reported_keys(measures, [None] * len(measures))) == keys


@pytest.mark.parametrize(
    ("measures", "tags", "keys"),
    [
        ([PRDC(k=3, recall=False)], ["x"], ["precision_x", "density_x", "coverage_x"]),
        ([FID(), FID(on="dino")], [None, "dinov2"], ["fid", "fd_dinov2"]),
        ([KID(), KID(gamma=2.0)], ["x", "x"], ["kd_x", "kd_std_x", "kd_gamma2_0_x", "kd_std_gamma2_0_x"]),
        ([KID(), KID(gamma=2.0)], [None, "x"], ["kid", "kid_std", "kd_x", "kd_std_x"]),
        ([IS(), IS(splits=1, ddof=0)], ["x", "x"], ["is_x", "is_std_x", "is_splits1_x", "is_std_splits1_x"]),
    ],
)
def test_the_tag_comes_last(measures: list[Measure], tags: list[str | None], keys: list[str]) -> None:
    assert [key for its in reported_keys(measures, tags) for key in its.values()] == keys


@pytest.mark.parametrize(
    ("measures", "tags"),
    [
        ([FID(), FID()], [None, None]),
        ([KID(gamma=2), KID(gamma=2.0)], [None, None]),
        ([PRDC(), PRDC(k=5)], ["x", "x"]),
        ([FID(), KID(), FID(on="dino")], ["x", "x", "x"]),
    ],
)
def test_one_measure_twice_is_refused(measures: list[Measure], tags: list[str | None]) -> None:
    with pytest.raises(ValueError, match=r"^Two measures report '\w+'\. Remedy: "):
        reported_keys(measures, tags)


SOME = st.one_of(
    st.just(FID()),
    st.just(Twin()),
    st.builds(PRDC, k=st.integers(1, 12), f1=st.booleans()),
    st.builds(KID, subsets=st.sampled_from([None, 100, 10]), gamma=st.sampled_from([None, 0.5, 5e-5, 5e5, 50.0])),
    st.builds(IS, splits=st.integers(1, 12), ddof=st.integers(0, 1)),
)


@given(st.lists(st.tuples(SOME, st.sampled_from([None, "x", "k3"])), max_size=8, unique=True))
def test_keys_are_distinct_identifiers_that_read_back(given: list[tuple[Measure, str | None]]) -> None:
    measures, tags = [one for one, _ in given], [tag for _, tag in given]
    found = reported_keys(measures, tags)
    keys = [key for its in found for key in its.values()]
    assert len(set(keys)) == len(keys)
    assert all(key.isidentifier() for key in keys)
    assert all(scalar_of(key).key == canonical for its in found for canonical, key in its.items())
    for measure, its in zip(measures, found):
        for scalar in (scalar for scalar in measure.scalars if scalar.spread_of):
            spread, leader = parse_key(its[scalar.key]), parse_key(its[scalar.spread_of])
            assert spread.is_spread_of(leader)
            others = [parse_key(key) for key in keys if key != its[scalar.spread_of]]
            assert not any(map(spread.is_spread_of, others))


@pytest.mark.parametrize(
    ("key", "canonical", "better", "spread_of"),
    [
        ("fid", "fid", "lower", None),
        ("fd_efficientnet_lite0", "fid", "lower", None),
        ("val/ema/kd_std_clip", "kid_std", None, "kid"),
        ("kid_se", "kid_se", None, "kid"),
        ("kid_seen", "kid", "lower", None),
        ("is", "is", "higher", None),
        ("f1_x", "f1", "higher", None),
        ("precision_k3_features", "precision", "higher", None),
        ("corrected", "corrected", "lower", None),
        ("corrected_error_rate2_0_x", "corrected_error", None, "corrected"),
        ("corrected_p", "corrected_p", None, None),
        ("val/loss_std", "loss_std", None, None),
        ("", "", None, None),
    ],
)
def test_a_key_tells_its_scalar(key: str, canonical: str, better: str | None, spread_of: str | None) -> None:
    scalar = scalar_of(key)
    assert (scalar.key, scalar.better, scalar.spread_of) == (canonical, better, spread_of)
    parsed = parse_key(key)
    assert parsed.prefix + parsed.name + parsed.rest == key


@pytest.mark.parametrize(
    ("canonical", "tag", "key"),
    [
        ("fid", None, "fid"),
        ("fid", "features", "fd_features"),
        ("kid", "clip", "kd_clip"),
        ("kid_std", "clip", "kd_std_clip"),
        ("kid_se", "clip", "kd_se_clip"),
        ("is", "lite0", "is_lite0"),
        ("precision", None, "precision"),
        ("precision", "lite0", "precision_lite0"),
    ],
)
def test_keys_are_bare_for_the_reference_inception_alone(canonical: str, tag: str | None, key: str) -> None:
    assert key_of(canonical, tag) == key


def test_counts_spreads_and_p_values_are_never_best() -> None:
    for name, scalar in known_scalars().items():
        last = name.rpartition("_")[2]
        assert scalar.better is None or not (scalar.spread_of or last in ("std", "se", "p", "pvalue", "count")), name


@pytest.mark.parametrize("label", MEASURES)
def test_every_scalar_of_a_measure_is_known_and_every_spread_has_its_scalar(label: str) -> None:
    scalars = known_measures()[label].known_scalars()
    assert scalars
    keys = {scalar.key for scalar in scalars}
    assert {scalar.spread_of for scalar in scalars} <= keys | {None}
