"""Lists of prompts: tables and JSON, in any encoding that is common; what is wrong names its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streaming_metrics.study.prompts import Prompt, digest_of, read_prompts

if TYPE_CHECKING:
    from pathlib import Path

DRAWBENCH = 'Prompts,Category\nA red colored car.,Colors\n"A cat, a dog.",Counting\n'
PARTI = (
    "Prompt\tCategory\tChallenge\tNote\na bowl\tAbstract\tBasic\t\n"
    'A wall, "Fly" on it. \tAbstract\tImagination\tLongest: "a word."\n'
    '"Fly" on a wall\tAbstract\tBasic\t\n"a ""big"" car"\tVehicles\tBasic\t\n'
)

PARTIS = [
    Prompt("a bowl", "Abstract", "Basic"),
    Prompt('A wall, "Fly" on it.', "Abstract", "Imagination"),
    Prompt('"Fly" on a wall', "Abstract", "Basic"),
    Prompt('a "big" car', "Vehicles", "Basic"),
]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", DRAWBENCH, [Prompt("A red colored car.", "Colors"), Prompt("A cat, a dog.", "Counting")]),
        ("a.tsv", PARTI, PARTIS),
        ("a.TSV", "caption\n\na cat\n\t\n", [Prompt("a cat")]),
        ("a.csv", "prompt\r\na cat\r\na  dog \r\n", [Prompt("a cat"), Prompt("a dog")]),
        ("a.csv", 'prompt,category\n"two\nlines",x\n', [Prompt("two lines", "x")]),
        ("a.csv", "category,prompt\nx\ny,a\n".replace("x\n", ""), [Prompt("a", "y")]),
        ("a.json", '["a cat", {"Prompt": "a dog", "category": null}]', [Prompt("a cat"), Prompt("a dog")]),
        ("a.jsonl", '{"text": "a cat", "challenge": "x"}\n\n"a dog"\n', [Prompt("a cat", "", "x"), Prompt("a dog")]),
    ],
)
def test_prompts_are_read(name: str, text: str, expected: list[Prompt], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert list(read_prompts(tmp_path / name)) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_do_not_matter(encoding: str, tmp_path: Path) -> None:
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    (tmp_path / "a.tsv").write_bytes((mark + "Prompts\n고양이 café\n").encode(encoding))
    assert read_prompts(tmp_path / "a.tsv") == (Prompt("고양이 café"),)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"words,category\na,b\n", "line 1: expected a column of prompts .* got 'words', 'category'"),
        ("a.csv", b'prompt\n"a\n\ncat"\nx,y\n', "line 5: expected 1 columns, got 2"),
        ("a.csv", b"prompt,category\n,b\n", "line 2: expected a prompt, got an empty one"),
        ("a.csv", b'prompt\na\n"b\n', "line 3: expected a table, got one whose quotes do not close"),
        ("a.csv", b"prompt\na\nb\xff\n", "line 3: expected text in UTF-8, got the byte 0xff"),
        ("a.csv", b"", "expected prompts, found none"),
        ("a.tsv", b"prompt\n", "expected prompts, found none"),
        ("a.json", b'["a",\n b]', "line 2: expected JSON"),
        ("a.json", b'{"prompt": "a"}', "expected a list"),
        ("a.json", b'["a", 3]', "line 2: expected text to be a text, got 3"),
        ("a.jsonl", b'"a"\n{"category": "b"}\n', "line 2: expected a column of prompts"),
        ("a.jsonl", b'"a"\n\n{"prompt": \n', "line 3: expected JSON"),
        ("a.txt", b"a cat\n", "expected a .tsv, .csv, .json or .jsonl"),
        ("a.csv", b"prompt\n" + b"a" * 2001, "line 2: expected a prompt of at most 2000 characters"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_prompts(tmp_path / name)


def test_a_digest_is_of_texts_and_their_order_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Prompts\na  cat\na dog\n")
    (tmp_path / "b.json").write_text('["a cat", "a dog"]')
    (tmp_path / "c.json").write_text('["a dog", "a cat"]')
    first, same, other = (digest_of(read_prompts(tmp_path / name)) for name in ("a.csv", "b.json", "c.json"))
    assert first == same != other
    assert len(first) == 64


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"prompts: expected .*found none at .*a\.csv"):
        read_prompts(tmp_path / "a.csv")
