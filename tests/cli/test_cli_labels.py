"""Labels of sources: class folders and StyleGAN's ``dataset.json`` give what ``update(labels=…)`` would."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from test_cli import TINY, done, noises, patches, run, scores_of

from streaming_metrics import CAS, GenerativeMetrics, IntraFID
from streaming_metrics.images import find_source
from streaming_metrics.measures.registry import measures_of

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

CLASSES = ("ape", "bee", "cat")
MEASURES = "intra_fid(classes=3),cas(classes=3,shrinkage=0.5)"
REAL, FAKE = noises(45, 0), noises(42, 1)


def by_folder(where: Path, images: list[Image.Image], names: tuple[str, ...] = CLASSES) -> Path:
    """Write images, image i of class i modulo the number of names, into a folder a class."""
    for i, image in enumerate(images):
        path = where / names[i % len(names)] / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return where


def by_json(where: Path, images: list[Image.Image], labels: Any = None) -> Path:
    """Write the same images as StyleGAN's dataset tool does, with their labels in ``dataset.json``."""
    (where / "00000").mkdir(parents=True)
    names = [f"00000/img{i:08}.png" for i in range(len(images))]
    for name, image in zip(names, images):
        image.save(where / name)
    told = [[name, i % 3] for i, name in enumerate(names)] if labels is None else labels
    (where / "dataset.json").write_text(json.dumps({"labels": told}))
    return where


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    return folder.with_suffix(".zip")


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return by_folder(tmp_path / "real", REAL), by_folder(tmp_path / "fake", FAKE)


def expected() -> dict[str, float]:
    metric = GenerativeMetrics([IntraFID(classes=3), CAS(classes=3, shrinkage=0.5)], patches())
    for images, real in ((REAL, True), (FAKE, False)):
        pixels = torch.from_numpy(np.stack([np.array(image) for image in images])).permute(0, 3, 1, 2)
        metric.update(pixels, real=real, labels=torch.arange(len(images)) % 3)
    return {key: value.item() for key, value in metric.compute().items()}


# --- what they give ---------------------------------------------------------------------------------------------------


def test_class_folders_score_as_labels_do(sides: tuple[Path, Path]) -> None:
    result = run("compare", *sides, "--measures", MEASURES, *TINY, "--json", "-")
    assert json.loads(result.stdout)["scores"] == pytest.approx(expected(), rel=1e-6)
    assert f"{sides[0]}: labels: 3 classes by folder: ape, bee, cat" in result.stderr


def test_what_stylegan_writes_scores_as_labels_do(tmp_path: Path) -> None:
    real, fake = by_json(tmp_path / "real", REAL), zipped(by_json(tmp_path / "fake", FAKE))
    result = run("compare", real, fake, "--measures", MEASURES, *TINY, "--json", "-")
    assert json.loads(result.stdout)["scores"] == pytest.approx(expected(), rel=1e-6)
    assert f"{fake}: labels: 3 classes by dataset.json: 0, 1, 2" in result.stderr


def test_folders_of_numbers_are_those_of_a_json(tmp_path: Path) -> None:
    real, fake = by_json(tmp_path / "real", REAL), by_folder(tmp_path / "fake", FAKE, ("00", "1", "002"))
    assert scores_of(real, fake, "--measures", MEASURES, *TINY)["scores"] == pytest.approx(expected(), rel=1e-6)


def test_several_sides_and_a_part_have_labels_too(sides: tuple[Path, Path]) -> None:
    result = run("compare", sides[0], sides[1], sides[0], "--measures", MEASURES, *TINY, "--json", "-")
    found = json.loads(result.stdout)["sides"]
    assert next(iter(found.values()))["scores"] == pytest.approx(expected(), rel=1e-6)
    assert len({result.stderr.count(f"{side}: labels:") for side in sides}) == 1
    done("compare", *sides, "--measures", "cas(classes=3,shrinkage=0.5)", *TINY, "--num-samples", 40)


def test_pairs_beside_measures_of_labels(sides: tuple[Path, Path]) -> None:
    both = scores_of(sides[0], sides[0], "--measures", MEASURES, *TINY, "--paired", "mse")["scores"]
    assert both.pop("mse") == 0
    assert both == pytest.approx(scores_of(sides[0], sides[0], "--measures", MEASURES, *TINY)["scores"], rel=1e-6)


@pytest.mark.parametrize("counted", ["", ",is(splits=2)"])
def test_images_that_are_skipped_take_their_labels_with_them(
    sides: tuple[Path, Path], tmp_path: Path, counted: str
) -> None:
    options = ["--measures", MEASURES + counted, "--extractor", "test_cli_counts:patches", "--workers", 0]
    (sides[1] / "bee" / "bad.png").write_bytes(b"no image")
    skipped = scores_of(*sides, *options, "--on-error", "skip")["scores"]
    whole = by_folder(tmp_path / "whole", FAKE)
    assert skipped == pytest.approx(scores_of(sides[0], whole, *options)["scores"], rel=1e-6)


def test_folders_that_are_no_classes_are_no_question_where_nothing_reads_them(tmp_path: Path) -> None:
    real, fake = by_folder(tmp_path / "real", REAL), by_folder(tmp_path / "fake", FAKE, ("run-1", "run-2"))
    result = done("compare", real, fake, *TINY)
    assert "labels" not in result.stderr


@pytest.mark.parametrize("names", [CLASSES, ("0", "1", "2")])
def test_a_reference_knows_its_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    real, fake = by_folder(tmp_path / "real", REAL, names), by_folder(tmp_path / "fake", FAKE, names)
    for side in (real, fake):
        done("reference", side, "--measures", MEASURES, *TINY, "-o", tmp_path / f"{side.name}.saved")
    for first, second in ((tmp_path / "real.saved", fake), (tmp_path / "real.saved", tmp_path / "fake.saved")):
        found = scores_of(first, second, "--measures", "intra_fid(classes=3)", *TINY)["scores"]
        assert list(found.values()) == pytest.approx([expected()["intra_fd_patches"]], rel=1e-6)
    others = by_folder(tmp_path / "others", FAKE, ("bee", "cat", "dog"))
    result = run("compare", tmp_path / "real.saved", others, "--measures", "intra_fid(classes=3)", *TINY)
    assert result.exit_code == 3
    assert "expected classes among those of the real side" in result.stderr
    done("reference", others, "--measures", MEASURES, *TINY, "-o", tmp_path / "others.saved")
    result = run("compare", real, tmp_path / "others.saved", "--measures", "intra_fid(classes=3)", *TINY)
    assert result.exit_code == 3


def test_a_class_that_is_not_generated_is_said(sides: tuple[Path, Path], tmp_path: Path) -> None:
    fake = by_folder(tmp_path / "some", FAKE, ("bee", "cat"))
    result = done("compare", sides[0], fake, "--measures", "cas(classes=3,shrinkage=0.5)", *TINY)
    assert f"{fake}: labels: 2 classes by folder: bee, cat; none of ape" in result.stderr


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(*sides: Path, measures: str = MEASURES) -> str:
    result = run("compare", *sides, "--measures", measures, *TINY)
    assert result.exit_code == 3, result.output
    assert "images/s" not in result.stderr  # before any is read
    return result.stderr


def test_other_names_are_refused(sides: tuple[Path, Path], tmp_path: Path) -> None:
    said = refused(sides[0], by_folder(tmp_path / "x", FAKE, ("ape", "bee", "Cat")))
    assert "expected classes among those of the real side, ape, bee, cat; got 1 others, by folder: Cat." in said
    assert "got 3 others, by dataset.json: 0, 1, 2" in refused(sides[0], by_json(tmp_path / "y", FAKE))


def test_images_without_a_class_are_refused(sides: tuple[Path, Path]) -> None:
    FAKE[0].save(sides[1] / "loose.png")
    assert f"got none of 1 of 43, e.g. of {sides[1] / 'loose.png'}" in refused(*sides)


def test_fewer_classes_than_there_are_are_refused(sides: tuple[Path, Path]) -> None:
    said = refused(*sides, measures="intra_fid(classes=2)")
    assert "expected classes=3 or more, as the real side has, got 2. Remedy: intra_fid(classes=3)" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"labels": [["00000/img00000000.png", 0]', "got another content"),
        ('{"labels": [["00000/img00000000.png", [0, 1]]]}', "expected an integer a path, got [0, 1]"),
        ('{"labels": [["00000/img00000000.png", true]]}', "expected an integer a path, got True"),
        ('{"labels": 7}', "got another content"),
        ('{"labels": [["00000/img00000000.png", 0]]}', "got none of 41 of 42"),
        ('{"labels": null}', "got none of 42 of 42"),
    ],
)
def test_a_damaged_json_is_refused(tmp_path: Path, content: str, said: str) -> None:
    real, fake = by_json(tmp_path / "real", REAL), by_json(tmp_path / "fake", FAKE)
    (fake / "dataset.json").write_text(content)
    assert said in refused(real, fake)
    assert said in refused(real, zipped(fake))


def test_a_json_of_another_kind_leaves_classes_to_folders(sides: tuple[Path, Path]) -> None:
    (sides[0] / "dataset.json").write_text('{"name": "mine"}')
    source: Any = find_source(str(sides[0]))
    assert (source.label(0), source.labelled_by) == ("ape", "folder")


def test_measures_that_read_labels_are_those_of_the_table() -> None:
    from streaming_metrics.cli.labels import reading_labels

    known = "fid,cas(classes=2),gan_test(classes=2),boundary_distortion(classes=2),adversarial_divergence(classes=2)"
    found = reading_labels(measures_of(known + ",intra_fid(classes=2),modes(classes=2),modes"))
    assert [one.label for one in found] == [
        *("cas", "gan_test", "boundary_distortion", "adversarial_divergence", "intra_fid", "modes")
    ]
