"""FID of fixed captions: the value is FID's, and the signature says of which captions, whatever the order and ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scores import normal

from streaming_metrics import (
    FID,
    PRDC,
    BiasWarning,
    Features,
    GenerativeMetrics,
    Signature,
    caption_hashes,
    merge_states,
)
from streaming_metrics.cli.facts import differences, facts

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks

TEXTS = [f"a photograph of {n % 17} cats" for n in range(40)]
REAL, FAKE = normal(0, 40, 3), normal(1, 40, 3, 0.3)


def filled(measure: FID, texts: Any = TEXTS, real_texts: Any = None, **options: Any) -> GenerativeMetrics:
    metric = GenerativeMetrics([measure], extractor=None, num_features=3, **options)
    if "reference" not in options:
        metric.update(REAL, real=True, captions=real_texts)
    metric.update(FAKE, real=False, captions=texts)
    return metric


def digest_of(metric: GenerativeMetrics) -> str:
    return Signature.parse(metric.signature()).captions


def test_the_value_is_fids_and_the_signature_says_the_captions() -> None:
    fixed, plain = filled(FID(captions=True)), filled(FID(), None)
    assert fixed.compute() == plain.compute()
    assert plain.signature().startswith("fid|ext:features-3|resize:none|real:40|fake:40|fp32|v")
    line = fixed.signature()
    assert line.startswith("fid(captions=True)|ext:features-3|resize:none|real:40|fake:40|captions:")
    assert str(Signature.parse(line)) == line


def test_the_digest_is_the_same_in_any_order_and_before_compute() -> None:
    metric = GenerativeMetrics([FID(captions=True)], extractor=None, num_features=3)
    for batch in torch.randperm(40, generator=torch.Generator().manual_seed(0)).split(7):
        metric.update(FAKE[batch], real=False, captions=caption_hashes([TEXTS[n] for n in batch]))
    before = digest_of(metric)
    metric.update(REAL, real=True)
    metric.compute()
    assert before == digest_of(metric) == digest_of(filled(FID(captions=True)))


def test_other_captions_do_not_compare() -> None:
    one, other = (filled(FID(captions=True), texts).signature() for texts in (TEXTS, [*TEXTS[:-1], "a dog"]))
    (found,) = differences(facts(one), facts(other))
    assert (found.what, found.matters) == ("captions", True)
    assert not differences(facts(one), facts(filled(FID(captions=True), TEXTS[::-1]).signature()))


@pytest.mark.parametrize("captions", [None, torch.zeros(40), torch.zeros(40, 1).long(), torch.arange(40).int(), [1, 2]])
def test_a_generated_batch_without_captions_is_refused(captions: Any) -> None:
    metric = GenerativeMetrics([FID(captions=True)], extractor=None, num_features=3)
    with pytest.raises((TypeError, ValueError), match=r"fake batch .*: expected captions, int64 \(N,\), got"):
        metric.update(FAKE, real=False, captions=captions)
    assert metric.num_samples("fake") == 0


def test_real_captions_that_are_others_are_told() -> None:
    metric = filled(FID(captions=True), real_texts=TEXTS)
    metric.compute()
    for texts in (TEXTS[1:] + TEXTS[1:2], ["a dog"] * 40):
        with pytest.warns(BiasWarning, match=r"expected both sides to be of equal captions, got \w{8} of 40 real"):
            filled(FID(captions=True), texts, real_texts=TEXTS).compute()


def test_a_reference_knows_its_captions_or_does_not(tmp_path: Path) -> None:
    for name, texts in (("with", TEXTS), ("without", None)):
        filled(FID(captions=True), real_texts=texts).save_reference(tmp_path / f"{name}.safetensors")
    filled(FID(), None).save_reference(tmp_path / "plain.safetensors")
    filled(FID(), None).save_reference(tmp_path / "moments.npz")
    for name in ("with", "without", "plain"):
        filled(FID(captions=True), reference=tmp_path / f"{name}.safetensors").compute()
    filled(FID(captions=True), reference=tmp_path / "moments.npz").compute()
    with pytest.warns(BiasWarning, match="equal captions"):
        filled(FID(captions=True), TEXTS[::2] * 2, reference=tmp_path / "with.safetensors").compute()


def test_captions_travel_with_saved_states(tmp_path: Path) -> None:
    whole, parts = filled(FID(captions=True)), []
    for rows in torch.arange(40).split(25):
        part = GenerativeMetrics([FID(captions=True)], extractor=None, num_features=3)
        for real, side in ((True, REAL), (False, FAKE)):
            part.update(side[rows], real=real, captions=None if real else [TEXTS[n] for n in rows])
        part.save_state(path := tmp_path / f"{len(parts)}.safetensors")
        parts.append(path)
    merged = GenerativeMetrics([FID(captions=True)], extractor=None, num_features=3)
    merge_states(merged, parts)
    assert digest_of(merged) == digest_of(whole)
    whole.reset()
    assert digest_of(whole) != digest_of(merged)


def on_a_rank(group: Any, rows: list[int]) -> str:
    metric = GenerativeMetrics([FID(captions=True)], extractor=None, num_features=3, process_group=group)
    metric.update(REAL[rows], real=True)
    metric.update(FAKE[rows], real=False, captions=[TEXTS[n] for n in rows])
    metric.compute()
    return digest_of(metric)


@pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")
def test_ranks_have_one_digest(ranks: Ranks) -> None:
    shares = [list(range(0, 40, 2)), list(range(1, 40, 2))]
    assert ranks.run(2, on_a_rank, each=shares) == [digest_of(filled(FID(captions=True)))] * 2


FORMS: dict[str, Any] = {
    "tuple": tuple,
    "array of NumPy": np.array,
    "array of objects": lambda texts: np.array(texts, dtype=object),
    "hashes": caption_hashes,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("beside", [True, False])
def test_captions_may_be_texts_in_any_list(form: str, beside: bool) -> None:
    texts, rows = ["a cat", "a dog", "a cow"], torch.eye(3)
    built = [GenerativeMetrics([FID(captions=True)], None, num_features=3) for _ in range(2)]
    built[0].update(rows, real=False, captions=texts)
    captions = FORMS[form](texts)
    if beside:
        built[1].update(rows, real=False, captions=captions)
    else:
        built[1].update(Features(rows, captions=captions), real=False)
    built[1].update(rows[:0], real=False, captions=[])
    assert built[1].signature() == built[0].signature()
    built[0].update(rows[:1], real=False, captions="a cat")
    built[1].update(rows[:1], real=False, captions=["a cat"])
    assert built[1].signature() == built[0].signature()


@pytest.mark.parametrize("captions", [[["a cat", "a dog"]], np.arange(1), iter(["a cat"]), [1]])
def test_captions_that_are_no_texts_are_refused_with_a_remedy(captions: Any) -> None:
    metric = GenerativeMetrics([FID(captions=True)], None, num_features=3)
    with pytest.raises(TypeError, match=r"expected captions, int64 \(N,\), got .* or a list of texts"):
        metric.update(torch.zeros(1, 3), real=False, captions=captions)
    assert metric.num_samples("fake") == 0


def test_the_signature_of_measures_in_force_says_captions_where_one_holds_them() -> None:
    metric = GenerativeMetrics([FID(captions=True), PRDC(k=3)], None, num_features=3)
    metric.update(REAL, real=True)
    metric.update(FAKE, real=False, captions=TEXTS)
    metric.compute()
    assert "|captions:" in metric.signature()
    metric.measures = (PRDC(k=3),)
    assert "captions" not in metric.signature()
