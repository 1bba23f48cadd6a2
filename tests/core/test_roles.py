"""Roles and columns: whose samples an update adds, which are frozen, and what every batch must then bring."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from binding_cases import WIDTH, add, batch, bound, build, close, expected, floats, freeze, is_bound
from conftest import CLASSES
from torchmetrics import MetricTracker

from streaming_metrics import FID, PRDC, Features, GenerativeMetrics, RepeatsWarning, Signature, merge_states
from streaming_metrics.core.saved_states import merged
from streaming_metrics.measures.authenticity import AuthPct
from streaming_metrics.measures.intra_frechet import IntraFID
from streaming_metrics.measures.mmd import MMD

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ranks

    from streaming_metrics import Measure

pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")

TRAINED = [AuthPct(), FID()]
LABELLED = [IntraFID(classes=2), FID()]


# --- whose samples ----------------------------------------------------------------------------------------------------


def test_there_are_the_roles_that_measures_ask_for() -> None:
    assert build([FID()]).roles == ("real", "fake")
    assert build(TRAINED).roles == ("real", "fake", "train")


def test_real_is_a_short_form_of_role() -> None:
    metric, other = build(TRAINED), build(TRAINED)
    for role in ("real", "fake"):
        metric.update(batch(role, 0), role=role)
        other.update(batch(role, 0), real=role == "real")
    add(metric, "train", 0)
    add(other, "train", 0)
    assert floats(metric.compute()) == floats(other.compute())


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "neither": ({}, TypeError, "expected real= or role=, got real=None, role=None"),
    "both": ({"real": True, "role": "train"}, TypeError, "expected real= or role=, got real=True, role='train'"),
    "both, and the same": ({"real": True, "role": "real"}, TypeError, "Remedy: one of them"),
    "a role for real": ({"real": "train"}, TypeError, "got 'train'. Remedy: role='train'"),
    "fake for real": ({"real": "fake"}, TypeError, "Remedy: role='fake'"),
    "unknown": ({"role": "heldout"}, ValueError, r"expected a role among \('real', 'fake', 'train'\), got 'heldout'"),
    "empty": ({"role": ""}, ValueError, "expected a role among"),
}


@pytest.mark.parametrize("how", ["update", "forward"])
@pytest.mark.parametrize("case", REFUSED)
def test_other_roles_are_refused_and_nothing_is_added(case: str, how: str) -> None:
    options, error, told = REFUSED[case]
    metric = build(TRAINED)
    with pytest.raises(error, match=told):
        getattr(metric, how)(batch("real", 0), **options)
    assert [metric.num_samples(role) for role in metric.roles] == [0, 0, 0]


def test_counts_of_a_role_that_there_is_not_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of \('real', 'fake'\), got 'train'"):
        build([FID()]).num_samples("train")


def test_numbers_are_kept_by_role() -> None:
    metric = build(TRAINED)
    for role, numbers in (("real", (0,)), ("fake", (0, 1)), ("train", (0, 1, 2))):
        add(metric, role, *numbers)
    assert {role: metric.num_samples(role) for role in metric.roles} == {"real": 12, "fake": 24, "train": 36}
    metric.compute()
    found = {role: metric.distinct(role) for role in metric.roles}
    assert {role: one.distinct for role, one in found.items() if one} == {"real": 12, "fake": 24, "train": 36}
    line = metric.signature()
    assert "|real:12|fake:24|train:36|" in line
    assert Signature.parse(line).others == (("train", 36),)
    assert str(Signature.parse(line)) == line


def test_a_signature_without_other_roles_says_nothing_of_them() -> None:
    assert "train" not in build([FID()]).signature()


@pytest.mark.parametrize("role", ["real", "fake", "train"])
def test_repeats_are_told_of_every_role(role: str) -> None:
    metric = build(TRAINED)
    for other in metric.roles:
        for ids in range(3 if other == role else 1):
            features = batch(other, 0)
            metric.update(features.having(index=torch.arange(12) + 100 * ids), role=other)
    words = {"real": "36 real", "fake": "36 generated", "train": "36 train"}
    with pytest.warns(RepeatsWarning, match=f"{words[role]} samples, 12 of them distinct"):
        metric.compute()


# --- frozen and torn --------------------------------------------------------------------------------------------------


def test_the_generated_side_and_others_are_not_frozen() -> None:
    for role in ("fake", "heldout", ""):
        with pytest.raises(ValueError, match=r"freeze\(\): expected one of \['real', 'train'\]"):
            build(TRAINED).freeze(role)


def test_a_side_of_no_samples_is_not_frozen() -> None:
    metric = build(TRAINED)
    with pytest.raises(ValueError, match=r"freeze\('train'\) needs at least 1 train samples"):
        metric.freeze("train")
    assert metric.is_frozen is False


def test_a_frozen_side_takes_no_more_and_outlives_a_reset() -> None:
    metric = build(TRAINED)
    for role in metric.roles:
        add(metric, role, 0)
    metric.freeze("train")
    with pytest.raises(RuntimeError, match=r"The train side is a frozen reference.*Remedy: give other roles' samples"):
        add(metric, "train", 1)
    assert metric.is_frozen is False  # which is of the real side
    metric.reset()
    assert {role: metric.num_samples(role) for role in metric.roles} == {"real": 0, "fake": 0, "train": 12}
    assert is_bound(metric) == [True, False]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_torn_role_is_named_and_reset_mends_it(frozen: bool) -> None:
    metric = build(TRAINED)
    for role in metric.roles:
        add(metric, role, 0)
    if frozen:
        metric.freeze("train")
    setattr(metric, metric._layout.torn["train"], torch.tensor(1))
    uses = [metric.compute, lambda: metric.save_state("unused"), lambda: metric.merge_state(build(TRAINED))]
    for use in uses:
        with pytest.raises(RuntimeError, match="a torn train side"):
            use()
    if not frozen:
        with pytest.raises(RuntimeError, match="a torn train side"):
            add(metric, "train", 1)
    add(metric, "fake", 1)
    metric.reset()
    assert [metric.num_samples(role) for role in metric.roles] == [0, 0, 0]
    for role in metric.roles:
        add(metric, role, 0, 1)
    assert floats(metric.compute()) == close(value_of_two(TRAINED))


def value_of_two(measures: list[Measure]) -> dict[str, float]:
    metric = build(measures)
    for role in metric.roles:
        add(metric, role, 0, 1)
    return floats(metric.compute())


def test_a_reference_of_each_role(tmp_path: Path) -> None:
    for role in ("real", "train"):
        source = build([PRDC(k=3), FID()])
        for number in range(3):
            source.update(batch(role, number), real=True)
        source.save_reference(tmp_path / f"{role}.safetensors")
    metric = build(TRAINED, reference={role: tmp_path / f"{role}.safetensors" for role in ("real", "train")})
    add(metric, "fake", 0, 1, 2)
    assert floats(metric.compute()) == close(expected(TRAINED))
    assert "|real:36|fake:36|train:36|" in metric.signature()
    for role in ("fake", "heldout"):
        with pytest.raises(ValueError, match=r"reference: expected roles among \['real', 'train'\]"):
            build(TRAINED, reference={role: tmp_path / "real.safetensors"})
    for reference in ({"train": []}, []):
        with pytest.raises(ValueError, match="expected a file of the"):
            build(TRAINED, reference=reference)


def test_a_state_file_of_a_frozen_training_side_is_read_alone(tmp_path: Path) -> None:
    metric = bound(TRAINED, 0, 1, 2)
    metric.save_state(tmp_path / "state.safetensors")
    other = merged([tmp_path / "state.safetensors"])
    assert floats(other.compute()) == close(expected(TRAINED))
    assert other.signature() == metric.signature()


def test_a_file_of_training_samples_counts_once(tmp_path: Path) -> None:
    metric = build(TRAINED)
    add(metric, "train", 0)
    metric.save_state(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes())
    with pytest.raises(ValueError, match="holds the samples of"):
        merge_states(metric, [tmp_path / "a.safetensors", tmp_path / "b.safetensors"])


def test_equal_files_of_frozen_sides_alone_are_of_ranks_without_any(tmp_path: Path) -> None:
    for name in "ab":
        bound(TRAINED).save_state(tmp_path / f"{name}.safetensors")
    metric = bound(TRAINED, 0, 1, 2)
    merge_states(metric, [tmp_path / "a.safetensors", tmp_path / "b.safetensors"])
    assert floats(metric.compute()) == close(expected(TRAINED))


# --- ranks ------------------------------------------------------------------------------------------------------------


def of_another_side(group: Any, role: str, number: int) -> str:
    metric = build(TRAINED, process_group=group, timeout=20)
    source = build(TRAINED, sync_on_compute=False)
    for other in ("real", "train"):
        add(source, other, 0, 1 + (number if other == role else 0))
    freeze(source, "real", "train")
    metric.load_state_dict(source.state_dict(), strict=False)
    add(metric, "fake", number)
    with pytest.raises(RuntimeError, match="expected the same real side on all") as caught:
        metric.compute()
    return str(caught.value)


@pytest.mark.parametrize("role", ["real", "train"])
def test_a_meeting_names_the_side_that_differs(ranks: Ranks, role: str) -> None:
    for told in ranks.run(2, of_another_side, role, each=[0, 1]):
        here, there = (part.split(" on ")[0] for part in told.split("got ")[1].split(". Remedy")[0].split(";"))
        words = {"real": (0, "frozen"), "train": (1, "train frozen")}[role]
        sides = [part.strip().split(", ") for part in (here, there)]
        assert sides[0][words[0]] != sides[1][words[0]]
        assert sides[0][1 - words[0]] == sides[1][1 - words[0]]
        assert sides[0][words[0]].startswith(words[1])


def torn_on_one(group: Any, rank: int) -> str:
    metric = build(TRAINED, process_group=group, timeout=20)
    for role in metric.roles:
        add(metric, role, rank)
    if rank == 1:
        setattr(metric, metric._layout.torn["train"], torch.tensor(1))
    with pytest.raises(RuntimeError, match="a torn train side on rank 1"):
        metric.compute()
    return "refused"


def test_a_role_that_is_torn_on_one_rank_is_refused_on_all(ranks: Ranks) -> None:
    assert ranks.run(2, torn_on_one, each=[0, 1]) == ["refused"] * 2


# --- columns of samples -----------------------------------------------------------------------------------------------

LABELS = torch.arange(12) % 2
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "none": (None, ValueError, "expected labels, int64 .*, got none; nothing was added.*in every batch"),
    "int32": (LABELS.int(), TypeError, r"expected labels, int64 \(N,\), got torch.int32 \(12,\)"),
    "float": (LABELS.float(), TypeError, "got torch.float32"),
    "one-hot": (torch.eye(12, 2).long(), TypeError, r"got torch.int64 \(12, 2\)"),
    "a list": (LABELS.tolist(), TypeError, "got list"),
    "fewer": (LABELS[:-1], ValueError, "one row a sample"),
    "more": (torch.arange(13) % 2, ValueError, "one row a sample"),
    "beyond": (LABELS + 1, ValueError, r"classes in \[0, 2\), got 1 to 2"),
    "negative": (LABELS - 1, ValueError, r"classes in \[0, 2\), got -1 to 0"),
}


@pytest.mark.parametrize("how", ["update", "forward"])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("case", WRONG)
def test_labels_that_cannot_be_are_refused_and_nothing_is_added(case: str, first: bool, how: str) -> None:
    labels, error, told = WRONG[case]
    metric = build(LABELLED)
    if not first:
        add(metric, "real", 0)
    before = {name: getattr(metric, name).clone() for name in metric._defaults}
    with pytest.raises(error, match=told):
        getattr(metric, how)(batch("real", 1).having(labels=None), real=True, labels=labels)
    assert all(getattr(metric, name).equal(tensor) for name, tensor in before.items())


def test_labels_come_with_features_or_beside_them() -> None:
    metric = build(LABELLED)
    for role in ("real", "fake"):
        for number in range(3):
            features = batch(role, number)
            assert features.pool is not None
            metric.update(features.pool, role=role, labels=features.labels, index=features.index)
    assert floats(metric.compute()) == close(expected(LABELLED))


def test_columns_that_no_measure_reads_are_not_looked_at() -> None:
    metric = build([FID()])
    for role in ("real", "fake"):
        metric.update(batch(role, 0), role=role, labels=LABELS, captions=LABELS)
        metric.update(batch(role, 1).having(labels=None), role=role)
    assert metric.num_samples("fake") == 24


def labels_held(metric: GenerativeMetrics) -> list[int]:
    (name,) = [name for name in metric._defaults if name.startswith("fake_bank") and "_labels_2_labels_" in name]
    return getattr(metric, name).tolist()


def test_labels_travel_with_their_samples(tmp_path: Path) -> None:
    metric = bound(LABELLED, 0)
    bound(LABELLED, 1).save_state(tmp_path / "1.safetensors")
    merge_states(metric, [tmp_path / "1.safetensors"])
    metric.merge_state(bound(LABELLED, 2))
    assert labels_held(metric) == LABELS.tolist() * 3
    metric.sync(distributed_available=lambda: True)
    assert labels_held(metric) == LABELS.tolist() * 3
    metric.unsync()
    assert floats(metric.compute()) == close(expected(LABELLED))


def on_a_rank(group: Any, numbers: tuple[int, ...]) -> tuple[dict[str, float], int]:
    metric = build(LABELLED, process_group=group)
    for role in ("real", "fake"):
        add(metric, role, *numbers)
    values = floats(metric.compute())
    metric.sync()
    return values, len(labels_held(metric))


@pytest.mark.parametrize("shares", [[(0, 1, 2)], [(), (0, 1, 2)], [(2,), (), (0, 1)]], ids=len)
def test_labels_travel_over_ranks(ranks: Ranks, shares: list[tuple[int, ...]]) -> None:
    for values, held in ranks.run(len(shares), on_a_rank, each=shares):
        assert values == close(expected(LABELLED))
        assert held == 36


# --- forward and wrappers ---------------------------------------------------------------------------------------------


def test_forward_takes_roles_and_columns() -> None:
    measures = [*LABELLED, AuthPct()]
    metric = build(measures)
    for number in range(3):
        assert number or metric(batch("real", 0), real=True) is None
        if number:
            add(metric, "real", number)
        metric(batch("train", number), role="train")
    features = batch("fake", 0)
    value = metric(features.pool, role="fake", labels=features.labels, index=features.index)
    assert floats(value) == close(expected(measures, (0,)))
    add(metric, "fake", 1, 2)
    assert floats(metric.compute()) == close(expected(measures))


@pytest.mark.parametrize("measures", [TRAINED, LABELLED, [MMD(most=30, block=2, permutations=20)]], ids=str)
def test_a_tracker_passes_roles_and_columns_on(measures: list[Measure]) -> None:
    tracker = MetricTracker(bound(measures), maximize=True)
    for number in range(2):
        tracker.increment()
        tracker.update(batch("fake", number), role="fake")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert floats(tracker.compute()) == close(expected(measures, (number,)))


def test_logits_and_labels_and_roles_go_together() -> None:
    metric = GenerativeMetrics("is(splits=2)", None, num_classes=CLASSES)
    metric.update(Features(logits=torch.randn(20, CLASSES), pool=torch.randn(20, WIDTH)), role="fake")
    assert metric.num_samples("fake") == 20
