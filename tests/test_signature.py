"""Signatures: every one reads back as what it was, and nothing else reads as one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import CLASSES, MEASURES, WIDTH, WIDTHS, draw_sides, name_of
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_metrics import FID, IS, KID, PRDC, GenerativeMetrics, Measure, Signature
from streaming_metrics.signature import library_version

WORDS = st.from_regex(r"[a-z0-9][a-z0-9_.(),=-]{0,20}", fullmatch=True)
NAMED = st.from_regex(r"[a-z][a-z0-9_]{0,9}(\([a-z0-9_.,=+-]{1,15}\))?", fullmatch=True)
LINE = "fid|ext:inception-v3-6726825d|resize:tf1-bilinear-299|real:50000|fake:10000|fp32|v0.1.0"


SIGNATURES = st.builds(
    Signature,
    measures=st.lists(NAMED, min_size=1, max_size=4).map(tuple),
    extractor=WORDS,
    resize=WORDS,
    real=st.integers(0, 10**9),
    fake=st.integers(0, 10**9),
    precision=st.sampled_from(["fp32", "bf16"]),
    version=WORDS,
    captions=st.sampled_from(["", "12345678", "0a1b2c3d"]),
)


@given(SIGNATURES)
@settings(max_examples=50, deadline=None)
def test_every_signature_reads_back(signature: Signature) -> None:
    assert Signature.parse(str(signature)) == signature
    assert Signature.parse(f" {signature}\n") == signature


def test_the_line_is_the_one_in_the_docs() -> None:
    parts = (("fid",), "inception-v3-6726825d", "tf1-bilinear-299", 50000, 10000, "fp32", "0.1.0")
    assert str(Signature(*parts)) == LINE
    assert Signature.parse(LINE) == Signature(*parts)


@pytest.mark.parametrize("role", ["train", "heldout", "train_2", "val-set", "Train"])
def test_samples_of_any_role_read_back(role: str) -> None:
    signature = Signature(("own",), "features-4", "none", 5, 5, "fp32", "0.1.0", ((role, 7),))
    assert Signature.parse(str(signature)) == signature


@pytest.mark.parametrize(
    "line",
    [
        "",
        "fid",
        LINE + "|more",
        LINE.replace("|fp32", ""),
        LINE.replace("real:50000", "real:many"),
        LINE.replace("real:", "true:"),
        LINE.replace("ext:", "ext="),
        LINE.replace("|", " "),
    ],
)
def test_any_other_text_is_refused_and_shown(line: str) -> None:
    with pytest.raises(ValueError, match="Expected a signature like") as caught:
        Signature.parse(line)
    assert repr(line) in str(caught.value)


@pytest.mark.parametrize(
    ("measure", "label"),
    [
        (FID(), "fid"),
        (KID(), "kid"),
        (KID(subset_size=50, degree=2), "kid(subset_size=50,degree=2)"),
        (KID(subsets=None), "kid(subsets=None)"),
        (IS(num_samples=100), "is(num_samples=100)"),
        (PRDC(k=3, variant="improved", recall=False), "prdc(k=3,variant=improved,recall=False)"),
    ],
)
def test_a_measure_tells_what_is_not_default(measure: Measure, label: str) -> None:
    assert measure.describe() == label


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
@pytest.mark.parametrize("measure", MEASURES, ids=name_of)
def test_a_metrics_signature_reads_back(measure: Measure) -> None:
    metric = GenerativeMetrics([measure], extractor=None, num_features=WIDTH, num_classes=CLASSES, widths=WIDTHS)
    for role, side in draw_sides(metric).items():
        metric.update(side[:30] if role == "fake" else side, role=role)
    signature = Signature.parse(metric.signature())
    others = tuple((role, 40) for role in metric.roles if role not in ("real", "fake"))
    expected = Signature((measure.describe(),), "features-6", "none", 40, 30, "fp32", library_version(), others)
    assert replace(signature, captions="") == expected
    assert bool(signature.captions) == (measure == FID(captions=True))


@pytest.mark.parametrize(
    "measures",
    [
        ("fid", "kid(gamma=1e+20)"),
        ("mmd(widths=(1e+20, 2.0),scale=1e+5)", "fid"),
        ("own(x=1e+20,sizes=(1, 2))", "own(name='a)+(b')", "prdc(k=3)"),
    ],
)
def test_a_plus_inside_a_parameter_parts_no_measures(measures: tuple[str, ...]) -> None:
    line = f"{'+'.join(measures)}|ext:e|resize:r|real:1|fake:2|fp32|v0.1.0"
    assert Signature.parse(line).measures == measures
    assert str(Signature.parse(line)) == line
