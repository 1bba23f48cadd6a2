"""Lists of the measures: one catalogue, on a terminal, as the page of documentation, as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_cli import done, run

from streaming_metrics import FID, IS, NDB, PRDC, AuthPct, IntraFID
from streaming_metrics.cli import measure_list
from streaming_metrics.measures.base import GROUPS
from streaming_metrics.measures.catalogue import Entry, all_measures, entries
from streaming_metrics.measures.facts import FILE, MeasureFacts, dumped, facts_of_all
from streaming_metrics.measures.registry import MEASURES
from streaming_metrics.measures.sizes import Kept

PAGE = Path(__file__).parents[2] / "docs" / "measures.md"
BY_LABEL = {entry.label: entry.facts for entry in entries()}


def terminal(monkeypatch: pytest.MonkeyPatch, *arguments: str, columns: int = 80) -> str:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "dumb"), ("NO_COLOR", "1"), ("COLUMNS", str(columns))):
        monkeypatch.setenv(name, value)
    return done("measures", *arguments).stdout


def test_the_page_is_what_the_command_writes() -> None:
    written = done("measures", "--markdown").stdout
    assert written == PAGE.read_text(), "streaming-metrics measures --markdown > docs/measures.md"


def test_the_facts_that_come_with_the_library_are_what_the_classes_say() -> None:
    written = dumped(BY_LABEL.values()) + "\n"
    assert FILE.read_text(encoding="utf-8") == written, "python -m streaming_metrics.measures.catalogue"
    assert facts_of_all() == [*BY_LABEL.values()]


def test_a_measure_of_ones_own_is_told_from_its_class() -> None:
    [told] = json.loads(done("measures", "test_cli:RootFID", "--json").stdout)
    assert (told["label"], told["group"], told["class"]) == ("root_fid", "core", "additive")
    assert done("measures", "test_cli:RootFID").stdout.startswith("RootFID(): ")
    [ours] = json.loads(done("measures", "streaming_metrics.measures.prdc:PRDC", "--json").stdout)
    assert MeasureFacts.of_json(ours) == BY_LABEL["prdc"]
    for other, why in (("test_cli:nothing", "nothing"), ("pathlib:Path", "expected pathlib:Path to be a subclass")):
        refused = run("measures", other)
        assert refused.exit_code == 3
        assert why in refused.stderr


def test_every_measure_is_in_every_list(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.split("\t") for line in done("measures").stdout.splitlines()]
    assert {line[0] for line in lines} == {*MEASURES}
    assert {len(line) for line in lines} == {8}
    listed = json.loads(done("measures", "--json").stdout)
    assert [one["label"] for one in listed] == [line[0] for line in lines]
    assert {word for line in terminal(monkeypatch).splitlines() for word in line.split()[:1]} >= {*MEASURES}


@pytest.mark.slow  # test_cli_terminal.py closes the pipe of a command that needs no PyTorch
@pytest.mark.parametrize("option", [[], ["--markdown"]])
def test_a_pipe_that_is_closed_ends_it_without_a_word(option: list[str]) -> None:
    command = [sys.executable, "-m", "streaming_metrics", "measures", *option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        assert listing.stdout is not None
        listing.stdout.close()
        assert listing.stderr is not None
        assert (listing.stderr.read(), listing.wait()) == ("", 1)


@pytest.mark.parametrize("label", MEASURES)
def test_an_entry_says_all_there_is_to_say(label: str) -> None:
    fields = BY_LABEL[label].as_json()
    assert all(fields[name] for name in ("definition", "group", "class", "keys", "reads", "paper", "compared_with"))
    assert fields["group"] in GROUPS[:-1]
    assert "fake" in fields["reads"]
    assert any(sum(value or 0 for value in fields[name].values()) for name in ("kept", "kept_frozen"))


def test_groups_come_in_their_order() -> None:
    places = [GROUPS.index(entry.group) for entry in entries()]
    assert places == sorted(places)
    assert [entry.label for entry in entries()][:4] == ["fid", "kid", "is", "prdc"]


@pytest.mark.parametrize(
    ("measure", "kind", "reads"),
    [
        (FID(), "additive", "pool"),
        (IS(), "additive", "logits of generated"),
        (PRDC(), "bank", "pool"),
        (PRDC(recall=False), "fixed side", "pool"),
        (PRDC(recall=False, capacity=100), "bank", "pool"),
        (AuthPct(), "fixed side", "pool of train, generated"),
        (IntraFID(classes=3), "bank", "pool, labels"),
    ],
    ids=repr,
)
def test_classes_and_columns_are_read_off_the_statistics(measure: Any, kind: str, reads: str) -> None:
    told = Entry(measure).facts
    assert (told.kind, measure_list.read_by(told)) == (kind, reads)
    assert MeasureFacts.of_json(json.loads(json.dumps(told.as_json()))) == told


def test_sizes_are_those_of_the_states() -> None:
    assert BY_LABEL["fid"].kept == Kept(8 * (2048 * 2049 + 2048 + 1))
    assert Entry(PRDC(capacity=100)).kept == Kept(0, 4 * 2048 + 8, 100)
    assert Entry(NDB(bins=7)).kept_bound == Kept(8 * 7)
    assert measure_list.kept_by(Entry(NDB()).facts) == "8.2 KB a sample; frozen: 800 B"


def test_a_terminal_of_80_columns_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = terminal(monkeypatch)
    assert max(map(len, shown.splitlines())) <= 80
    assert "Core" in shown.splitlines()
    assert "precision↑" in shown
    assert max(map(len, terminal(monkeypatch, "prdc", "ndb").splitlines())) <= 80


@pytest.mark.parametrize("facts", BY_LABEL.values(), ids=BY_LABEL)
def test_every_parameter_is_explained(facts: MeasureFacts) -> None:
    assert [*facts.arguments] == [*facts.parameters]
    assert all(facts.arguments.values())


def test_one_measure_is_told_in_full() -> None:
    told = done("measures", "NDB").stdout
    alpha = "\n  alpha=0.05: level of each bin's test."
    for part in ("Bins are the cells of k-means centres", "keys: ndb↓, ndb_js↓", "parameters:\n  bins=100: ", alpha):
        assert part in told
    refused = run("measures", "ndp")
    assert refused.exit_code == 3
    assert "Did you mean 'ndb'" in refused.stderr


def test_every_measure_that_can_be_had() -> None:
    found, left_out = all_measures()
    assert {measure.label for measure in found} | {one.label for one in left_out} == {*MEASURES}
    assert dict(left_out)["authpct"] == "it wants samples of the role train"
    assert dict(left_out)["intra_fid"] == "it reads labels"
    with_labels, left_out = all_measures(["pool", "labels"], ["real", "fake", "train"])
    assert "authpct" in [measure.label for measure in with_labels]
    assert dict(left_out)["intra_fid"] == "it wants classes="
