"""Measures by name: every one imports, options have the types of their fields, and a user's own are found."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from streaming_metrics.measures import FID, IS, KID, PRDC, Measure
from streaming_metrics.measures.base import GROUPS
from streaming_metrics.measures.options import parsed, typed
from streaming_metrics.measures.registry import (
    MEASURES,
    as_measures,
    bytes_in,
    known_measures,
    measures_of,
    parameters_of,
)

MATRIX = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Scaled(FID):
    """A measure of one's own, which takes options of every type."""

    widths: tuple[float, ...] = (1.0,)
    pair: tuple[int, str] = (1, "a")
    table: MATRIX = ()
    scale: float = 1.0
    name: str | None = None
    mode: Literal["a", "b"] = "a"
    exact: bool = True
    anything: Unknown = 0  # noqa: F821  # pyright: ignore[reportUndefinedVariable]

    label: ClassVar[str] = "scaled"


@dataclass(frozen=True)
class Deeper(Scaled):
    """A measure two classes below one of the library."""

    label: ClassVar[str] = "deeper"


@dataclass(frozen=True)
class Needing(FID):
    """A measure of one's own that has an option without a default."""

    classes: int

    label: ClassVar[str] = "needing"


@dataclass(frozen=True)
class Unlabelled(FID):
    """A measure that has no name of its own."""


@pytest.mark.parametrize("label", MEASURES)
def test_every_entry_is_the_measure_of_its_label(label: str) -> None:
    cls = known_measures()[label]
    assert issubclass(cls, Measure)
    assert (cls.label, f"{cls.__module__}:{cls.__name__}") == (label, MEASURES[label])


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("scaled", Scaled()),
        ("scaled(scale=2)", Scaled(scale=2.0)),
        ("scaled(scale=2e-3, widths=(1,2))", Scaled(scale=0.002, widths=(1.0, 2.0))),
        ("scaled(widths=[1, 2.5])", Scaled(widths=(1.0, 2.5))),
        ("scaled(widths=(), table=((1,2),(3,)))", Scaled(widths=(), table=((1.0, 2.0), (3.0,)))),
        ("scaled(pair=(2, 'b,)'))", Scaled(pair=(2, "b,)"))),
        ("scaled(name=none,exact=false,mode=b)", Scaled(name=None, exact=False, mode="b")),
        ("scaled(name=3)", Scaled(name="3")),
        ("scaled(name='None')", Scaled(name="None")),
        ("scaled(anything=(1, x))", Scaled(anything="(1, x)")),
        ("Scaled(on=dino)", Scaled(on="dino")),
        ("deeper(scale=2)", Deeper(scale=2.0)),
        ("kid(gamma=2,subsets=None)", KID(gamma=2.0, subsets=None)),
        ("kid(subset_size=1_000)", KID()),
        ("prdc(variant=improved, recall=False)", PRDC(variant="improved", recall=False)),
    ],
)
def test_text_is_read_as_the_fields_say(text: str, measure: Measure) -> None:
    [found] = measures_of(text)
    assert found == measure
    assert repr(found) == repr(measure)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("fid,kid,is,prdc", ["fid", "kid", "is", "prdc"]),
        (" fid , scaled(widths=(1,2),pair=(3,'x')),kid(seed=1),", ["fid", "scaled", "kid"]),
        ("", []),
    ],
)
def test_commas_inside_of_brackets_part_nothing(text: str, labels: list[str]) -> None:
    assert [measure.label for measure in measures_of(text)] == labels


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("scaled(scale=fast)", TypeError, r"scaled\(scale=…\): expected float, got 'fast'. Remedy: scale=<float>"),
        ("scaled(scale=True)", TypeError, "expected float, got True"),
        ("scaled(widths=1)", TypeError, r"expected tuple\[float, \.\.\.\], got 1"),
        ("scaled(widths=(1,'a'))", TypeError, "expected tuple"),
        ("scaled(widths=wide)", TypeError, r"expected tuple\[float, \.\.\.\], got 'wide'"),
        ("scaled(pair=(1,))", TypeError, r"expected tuple\[int, str\]"),
        ("scaled(exact=1)", TypeError, "expected bool, got 1. Remedy: exact=<bool>"),
        ("scaled(mode=c)", TypeError, "expected 'a' or 'b', got 'c'"),
        ("kid(subset_size=100.0)", TypeError, "expected int, got 100.0"),
        ("kid(gamma=-1)", ValueError, "gamma"),
        ("scaled(3)", ValueError, r"expected scaled\(parameter=value\), got scaled\(3\)"),
        ("scaled(scal=3)", ValueError, "Unknown parameter of scaled 'scal'. Did you mean 'scale'"),
        ("scale", ValueError, "Unknown measure 'scale'. Did you mean 'scaled'"),
        ("fid(", ValueError, "expected a list like"),
        ("fid)", ValueError, "expected a list like"),
        ("fid,,kid", ValueError, "expected a list like"),
        ("fid kid", ValueError, "expected a list like"),
        (",", ValueError, "expected a list like"),
    ],
)
def test_what_is_no_measure_is_told(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        measures_of(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (KID(gamma=2), "kid(gamma=2.0)"),
        (KID(gamma=np.float64(2)), "kid(gamma=2.0)"),
        (KID(seed=np.int64(3)), "kid(seed=3)"),
        (Scaled(widths=[1, 2]), "scaled(widths=(1.0, 2.0))"),  # pyright: ignore[reportArgumentType]
        (Scaled(scale=1), "scaled"),
        ("kid(gamma=2)", "kid(gamma=2.0)"),
        (IS(splits=5), "is(splits=5)"),
    ],
    ids=repr,
)
def test_equal_options_have_one_signature(given: Any, text: str) -> None:
    [measure] = as_measures(given)
    assert measure.describe() == text
    [again] = measures_of(text)
    assert again == measure
    assert hash(again) == hash(measure)


def test_what_a_measure_took_is_left_as_it_is() -> None:
    measure = Scaled(scale="fast")  # pyright: ignore[reportArgumentType]
    assert as_measures(measure)[0] is measure


@pytest.mark.parametrize("given", ["needing", "needing(on=dino)", Needing, [FID, Needing]])
def test_an_option_without_a_default_is_asked_for(given: Any) -> None:
    with pytest.raises(TypeError, match=r"expected needing\(classes=…\), got needing without. Remedy: give classes=…"):
        as_measures(given)
    assert measures_of("needing(classes=3)") == [Needing(classes=3)]


def test_own_measures_are_those_with_a_label_of_their_own() -> None:
    known = known_measures()
    assert known["deeper"] is Deeper
    assert Unlabelled not in known.values()
    assert known["fid"] is FID


def test_no_measure_of_ones_own_takes_the_place_of_the_librarys() -> None:
    @dataclass(frozen=True)
    class Other(FID):
        """A measure that says it is FID."""

        label: ClassVar[str] = "fid"

    assert type(measures_of("fid")[0]) is FID
    assert as_measures(Other()) == [Other()]
    del Other
    gc.collect()


def test_parameters_are_listed_without_the_network() -> None:
    assert parameters_of(PRDC) == ["k", "variant", "recall", "f1", "capacity", "se", "both"]
    assert {"captions", "widths"} <= {*parameters_of(Deeper)}


def test_bytes_are_told_by_their_digest_and_read_back() -> None:
    from torch import Generator

    seed = Generator().manual_seed(0).get_state().numpy().tobytes()
    measure = KID(seed=seed)
    parts = bytes_in([measure])
    assert list(parts.values()) == [seed.hex()]
    assert measures_of(measure.describe(), parts) == [measure]


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [(2, float, 2.0), (2, float | int, 2), (2.0, int | float, 2.0), (None, None, None), (b"a", int | bytes, b"a")],
)
def test_a_value_keeps_the_type_it_has_where_it_may(value: Any, kind: Any, expected: Any) -> None:
    assert repr(typed(value, kind)) == repr(expected)


def test_deep_text_is_no_crash() -> None:
    assert parsed("(" * 5000, str) == "(" * 5000


@pytest.mark.parametrize("label", MEASURES)
def test_a_measure_says_its_group_and_paper(label: str) -> None:
    cls = known_measures()[label]
    assert cls.group in GROUPS[:-1]
    assert cls.paper
