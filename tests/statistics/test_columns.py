"""Columns that statistics read: their names, what lacks them, and the labels that a bank keeps beside its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import CLASSES, LABELS, WIDTH, draw_features

from streaming_metrics import Features
from streaming_metrics.distributed.comm import Comm
from streaming_metrics.files.reference import ReferenceOptions
from streaming_metrics.statistics import (
    Bank,
    CaptionDigest,
    Count,
    Distinct,
    KnownCaptions,
    Marginals,
    Moments,
    SecondMoment,
)

if TYPE_CHECKING:
    from conftest import Ranks
    from torch import Tensor

    from streaming_metrics.statistics import State, Statistic

NAMES = [
    (Count(), "count", ()),
    (Distinct(k=8), "distinct_8", ()),
    (Moments(2048), "moments_2048", ("pool",)),
    (Moments(2023, column="spatial"), "moments_2023_spatial", ("spatial",)),
    (SecondMoment(8), "second_moment_8", ("pool",)),
    (SecondMoment(8, "text", normalized=False), "second_moment_8_raw_text", ("text",)),
    (Marginals(10), "marginals_10_10_interleaved", ("logits",)),
    (Marginals(10, 2, "contiguous", 8, column="tags"), "marginals_10_2_contiguous_8_tags", ("tags",)),
    (Bank(6), "bank_6", ("pool",)),
    (Bank(6, 7), "bank_6_7", ("pool",)),
    (Bank(6, labels=10), "bank_6_labels_10", ("pool", "labels")),
    (Bank(6, 7, "text", labels=10), "bank_6_7_text_labels_10", ("text", "labels")),
    (Bank(6, 7, "text", captions=True), "bank_6_7_text_captions", ("text", "captions")),
    (Bank(6, captions=True, beside=(("text", 8),)), "bank_6_and_text_8_captions", ("pool", "captions", "text")),
    (CaptionDigest(), "caption_digest", ("captions",)),
    (KnownCaptions(), "known_captions", ()),
]
STATISTICS = [statistic for statistic, _, _ in NAMES]


@pytest.mark.parametrize(("statistic", "name", "columns"), NAMES, ids=[name for _, name, _ in NAMES])
def test_a_name_says_what_is_not_the_default(statistic: Statistic, name: str, columns: tuple[str, ...]) -> None:
    assert (statistic.name, statistic.columns) == (name, columns)


@pytest.mark.parametrize("statistic", [s for s in STATISTICS if s.columns], ids=lambda s: s.name)
def test_features_without_the_column_are_refused(statistic: Statistic) -> None:
    state = statistic.empty()
    with pytest.raises(ValueError, match=rf"expected a column '{statistic.columns[0]}', got Features"):
        statistic.update(state, Features(other=torch.zeros(2, 2), index=torch.arange(2)))


@pytest.mark.parametrize("make", [Moments, SecondMoment, Bank, Marginals])
@pytest.mark.parametrize(("column", "error"), [(None, TypeError), ("", ValueError), ("labels", ValueError)])
def test_what_is_no_column_is_refused(make: Any, column: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="column: expected"):
        make(4, column=column)


@pytest.mark.parametrize("capacity", [None, 7])
def test_labels_stay_with_their_rows(capacity: int | None) -> None:
    bank, features = Bank(WIDTH, capacity, labels=LABELS), draw_features(0)
    assert features.pool is not None
    assert features.labels is not None
    state = bank.update(bank.update(bank.empty(), features[:25]), features[25:])
    for part in (state, bank.merge([bank.share(state, rank, 3) for rank in range(3)])):
        assert torch.equal(part["rows"], features.pool[part["index"]])
        assert torch.equal(part["labels"], features.labels[part["index"]])


def on_a_rank(group: Any, bank: Bank, features: Features) -> tuple[State, State]:
    """Return a rank's shard of a bank, and the whole."""
    comm, state = Comm(group), bank.update(bank.empty(), features)
    return bank.all_reduce(state, comm), bank.replicate(state, comm)


@pytest.mark.parametrize("capacity", [None, 7])
def test_labels_stay_with_their_rows_over_ranks(ranks: Ranks, capacity: int | None) -> None:
    bank, features = Bank(WIDTH, capacity, labels=LABELS), draw_features(0)
    assert features.pool is not None
    assert features.labels is not None
    shares = [features[rank::3] for rank in range(3)]
    for parts in zip(*ranks.run(3, on_a_rank, bank, each=shares)):
        for part in parts:
            assert torch.equal(part["rows"], features.pool[part["index"]])
            assert torch.equal(part["labels"], features.labels[part["index"]])


@pytest.mark.parametrize("options", [ReferenceOptions(), ReferenceOptions(capacity=7), ReferenceOptions(half=True)])
def test_labels_stay_with_their_rows_in_references(options: ReferenceOptions) -> None:
    features, order = draw_features(0), torch.randperm(len(draw_features(0)))
    bank = Bank(WIDTH, labels=LABELS)
    kept = options(bank, bank.update(bank.empty(), features[order]))
    assert features.labels is not None
    assert kept is not None
    assert torch.equal(kept[1]["labels"], features.labels[kept[1]["index"]])


BAD_LABELS = {
    "negative": (torch.tensor([0, -1, 3]), r"expected classes in \[0, 4\), got -1 to 3"),
    "too large": (torch.tensor([0, 4, 3]), r"expected classes in \[0, 4\), got 0 to 4"),
    "no integers": (torch.tensor([0.0, 1.0, 2.0]), "expected int64"),
    "another length": (torch.tensor([0, 1]), "expected int64"),
    "none": (None, "got none"),
}


@pytest.mark.parametrize(("labels", "match"), BAD_LABELS.values(), ids=BAD_LABELS)
@pytest.mark.parametrize("capacity", [None, 7])
def test_labels_out_of_range_are_refused_before_anything_is_written(
    labels: Tensor | None, match: str, capacity: int | None
) -> None:
    bank = Bank(WIDTH, capacity, labels=4)
    state = bank.update(bank.empty(), draw_features(0))
    before = {key: column.clone() for key, column in state.items()}
    with pytest.raises(ValueError, match=match):
        bank.staged(state, Features(torch.zeros(3, WIDTH), index=torch.arange(3), labels=labels))
    assert all(torch.equal(state[key], before[key]) for key in before)
    if labels is not None and labels.dtype == torch.int64 and len(labels) == 3:
        with pytest.raises(ValueError, match=match):
            bank.check({key: column[:3] for key, column in state.items()} | {"labels": labels})


BESIDE = (("text", WIDTH), ("logits", CLASSES))


def check_beside(state: State, features: Features) -> None:
    """Expect all columns that a bank keeps to be of the samples of its ids."""
    columns = features.columns()
    assert set(state) == {"rows", "index", "captions", "text", "logits"}
    for key, rows in state.items():
        assert torch.equal(rows, columns["pool" if key == "rows" else key][state["index"]])


@pytest.mark.parametrize("capacity", [None, 7])
def test_captions_and_columns_beside_stay_with_their_rows(ranks: Ranks, capacity: int | None) -> None:
    bank, features = Bank(WIDTH, capacity, captions=True, beside=BESIDE), draw_features(0)
    state = bank.update(bank.update(bank.empty(), features[:25]), features[25:])
    check_beside(bank.merge([bank.share(state, rank, 3) for rank in range(3)]), features)
    for parts in ranks.run(3, on_a_rank, bank, each=[features[rank::3] for rank in range(3)]):
        for part in parts:
            check_beside(part, features)
    kept = ReferenceOptions(capacity=5)(bank, state)
    assert kept is not None
    check_beside(kept[1], features)


@pytest.mark.parametrize("missing", ["captions", "text", "logits"])
def test_a_batch_without_a_column_beside_is_refused_before_anything_is_written(missing: str) -> None:
    bank = Bank(WIDTH, captions=True, beside=BESIDE)
    with pytest.raises(ValueError, match=f"{missing}.*got"):
        bank.staged(bank.empty(), draw_features(0).having(**{missing: None}))


def test_columns_beside_are_a_networks_and_as_wide_as_is_said() -> None:
    with pytest.raises(ValueError, match="column: expected a network's column, got 'labels'"):
        Bank(WIDTH, beside=(("labels", 1),))
    with pytest.raises(ValueError, match="width of text: expected at least 1, got 0"):
        Bank(WIDTH, beside=(("text", 0),))
    with pytest.raises(TypeError, match="captions: expected True or False"):
        Bank(WIDTH, captions=1)  # pyright: ignore[reportArgumentType]
