"""Reasons that ``diff`` gives: each protocol is told from the others, and why they do not compare."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from streaming_metrics import PRDC, RFID, SFID, FDDINOv2, FDr6
from streaming_metrics.__main__ import app
from streaming_metrics.cli.facts import differences, facts
from streaming_metrics.cli.reasons import REASONS, RESIZES, reasons
from streaming_metrics.measures.registry import MEASURES, class_of, measures_of, parameters_of
from streaming_metrics.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

LINE = Signature(("fid",), "inception-v3-6726825d", "tf1-bilinear-299", 50000, 50000, "fp32", "0.1.0")
DINO, SIX = "dinov2-vitl14-0123abcd", "fdr6-0123abcd"
PROTOCOLS = {
    "FID": LINE,
    "clean FID": replace(LINE, resize="clean-299"),
    "of 64 features": replace(LINE, extractor="inception-v3-6726825d-64"),
    "of other weights": replace(LINE, extractor="inception-v3-0123abcd"),
    "10k": replace(LINE, fake=10000),
    "bf16": replace(LINE, precision="bf16"),
    "of DINOv2": replace(LINE, extractor=DINO, resize="pil-bicubic-224"),
    "of DINOv2 as EDM2": replace(LINE, extractor=DINO, resize="edm2-bicubic-224"),
    "sFID": replace(LINE, measures=(SFID().describe(),)),
    "rFID": replace(LINE, measures=(RFID().describe(),)),
    "FD-DINOv2": replace(LINE, measures=(FDDINOv2().describe(),), extractor=DINO, resize="pil-bicubic-224"),
    "FDr6": replace(LINE, measures=(FDr6().describe(),), extractor=SIX, resize="adm-256", precision="bf16"),
    "PRDC": replace(LINE, measures=("prdc(k=5)",)),
    "improved": replace(LINE, measures=(PRDC(variant="improved").describe(),)),
    "guided-diffusion": replace(LINE, measures=(PRDC(variant="guided-diffusion").describe(),), real=10000),
    "IS": replace(LINE, measures=("is(num_samples=50000)",)),
    "IS of 5000": replace(LINE, measures=("is(num_samples=50000,split_size=5000)",)),
    "IS of 2": replace(LINE, measures=("is(splits=2,num_samples=50000)",)),
}


@pytest.mark.parametrize("one", PROTOCOLS)
@pytest.mark.parametrize("other", PROTOCOLS)
def test_each_protocol_is_told_from_every_other_with_a_reason(one: str, other: str) -> None:
    found = differences(*(facts(str(PROTOCOLS[name])) for name in (one, other)))
    assert any(d.matters for d in found) == (one != other)
    assert bool([why for d in found for why in d.why]) == (one != other)


@pytest.mark.parametrize(("one", "other", "said"), [
    ("FID", "clean FID", r"resize, tf1-bilinear-299 \(torch-fidelity's, .*\) and clean-299 \(clean-fid's\): how"),
    ("FID", "of 64 features", "layer, pool and 64: each layer"),
    ("FID", "of other weights", "weights, 6726825d and 0123abcd: the same architecture"),
    ("FID", "of DINOv2", "network, inception-v3 and dinov2-vitl14: distances of two networks"),
    ("of DINOv2", "of DINOv2 as EDM2", r".*\(dgm-eval's DINOv2's\) and .* \(EDM2's DINOv2's\)"),
    ("FID", "10k", "fake, 50000 and 10000: a distance falls"),
    ("FID", "bf16", "precision, fp32 and bf16: "),
    ("FID", "sFID", "sfid: sfid is of spatial features"),
    ("FID", "rFID", "rfid: rfid is between images and their own reconstructions"),
    ("FID", "FDr6", "fdr6: fdr6 is a mean of six ratios"),
    ("improved", "guided-diffusion", "prdc variant, improved and guided-diffusion: .* float16"),
    ("PRDC", "improved", "prdc k, 5 and 3: balls reach"),
    ("IS", "IS of 5000", "is split_size, default and 5000: splits of a size"),
    ("IS", "IS of 2", "is splits, default and 2: a score of smaller splits"),
])  # fmt: skip
def test_the_reason_names_what_differs(one: str, other: str, said: str) -> None:
    found = differences(*(facts(str(PROTOCOLS[name])) for name in (one, other)))
    assert any(re.match(said, why) for d in found for why in d.why), [d.why for d in found]


def test_the_command_gives_reasons_beside_the_table() -> None:
    found = CliRunner().invoke(app, ["diff", str(PROTOCOLS["FID"]), str(PROTOCOLS["clean FID"])])
    assert found.exit_code == 1
    assert found.stdout == "differs\tresize\ttf1-bilinear-299\tclean-299\n"
    assert found.stderr.splitlines()[0].startswith("- resize, tf1-bilinear-299 (torch-fidelity's")
    assert found.stderr.splitlines()[-1] == "These do not compare."


def test_the_command_says_that_scores_compare_and_names_a_file_that_is_missing(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["diff", str(PROTOCOLS["FID"]), str(PROTOCOLS["FID"])])
    assert (found.exit_code, found.stdout) == (0, "")
    assert found.stderr == "These compare: nothing that matters differs.\n"
    for missing in ("no.json", "no.json:ours", "no.safetensors"):
        found = CliRunner().invoke(app, ["diff", str(PROTOCOLS["FID"]), str(tmp_path / missing)])
        assert found.exit_code == 3
        assert "Expected a signature, or a file of scores, states or a reference, got" in found.stderr


def test_of_several_of_one_measure_the_one_that_differs_is_named() -> None:
    found = reasons("prdc", "prdc+prdc(k=3)", "prdc+prdc(k=4)")
    assert [why.partition(":")[0] for why in found] == ["prdc k, 3 and 4"]
    assert reasons("resize", None, "clean-299") == []
    assert reasons("kid", "kid(seed=1)", "kid(seed=2)")[0].startswith("kid seed, 1 and 2: another random draw")


def test_reasons_are_of_measures_and_parameters_that_there_are() -> None:
    for key in (key for key in REASONS if "." in key):
        label, _, parameter = key.partition(".")
        if label == "measures":
            assert parameter in MEASURES
        elif label == "*":
            assert any(parameter in parameters_of(class_of(other)) for other in MEASURES)
        elif label != "extractor":
            assert parameter in parameters_of(class_of(label))
    assert all(measures_of(label) for label in ("fdr6", "sfid"))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in RESIZES)
