"""Checks: each finds its fault in images that have it, and none finds one in clean images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from doctor_cases import as_jpeg, crops, described, digits, examined, facts
from torch import Tensor, nn

from streaming_metrics import GenerativeMetrics
from streaming_metrics.doctor.checks import CHECKS, findings, samples
from streaming_metrics.doctor.checks.real_side import floor
from streaming_metrics.doctor.facts import ALPHA, Facts
from streaming_metrics.extractors import ModuleExtractor
from streaming_metrics.files.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

MNIST = Path("/usr/share/datasets/fashion-mnist")
pytestmark = pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")


def verdicts(of: Facts) -> dict[str, str]:
    return {check.name: finding.verdict for check, finding in findings(of).items()}


def faults(of: Facts) -> set[str]:
    return {name for name, verdict in verdicts(of).items() if verdict == "fault"}


def repeated(images: Tensor) -> Tensor:
    return images[: len(images) // 2].repeat(2, 1, 1, 1)


FAULTS: dict[str, tuple[Callable[[Tensor], Tensor], set[str]]] = {
    "blue and red exchanged": (lambda images: images.flip(1), {"channel order"}),
    "without colour": (lambda images: images[:, :1].expand(-1, 3, -1, -1), {"channel order"}),
    "JPEG of quality 75": (lambda images: as_jpeg(images, 75), {"compression"}),
    "JPEG of quality 95": (lambda images: as_jpeg(images, 95), {"compression"}),
    "floats in [0, 1] saved as they are": (lambda images: images // 255, {"range", "repeats"}),
    "floats in [0, 1] taken for [-1, 1]": (lambda images: (127.5 + images / 2).to(torch.uint8), {"range"}),
    "half of them twice": (repeated, {"repeats"}),
    "twice as large": (lambda images: images.repeat_interleave(2, 2).repeat_interleave(2, 3), {"size"}),
    "squeezed": (lambda images: images[:, :, :, 8:-8], {"size", "aspect"}),
    "all the same": (lambda images: torch.full_like(images, 99), {"constant features", "range", "repeats"}),
    "too few": (lambda images: images[:33], {"number"}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("side", ["generated", "real"])
def test_each_fault_is_found_on_either_side_and_nothing_else(fault: str, side: str) -> None:
    damage, expected = FAULTS[fault]
    one, other = crops(seed=1), damage(crops(seed=2))
    found = faults(facts(one, other) if side == "generated" else facts(other, one))
    assert found == expected


def test_values_cut_off_at_0_are_found_and_a_background_that_is_not_quite_black_is_none() -> None:
    one, other = crops(seed=1), crops(seed=2)
    cut = (2 * other.int() - 255).clamp(0, 255).to(torch.uint8)
    assert faults(facts(one, cut)) == {"range"}
    sentence = next(found.sentence for check, found in findings(facts(one, cut)).items() if check.name == "range")
    assert f"{(cut == 0).float().mean():.0%} are 0" in sentence
    assert faults(facts(with_bars(one, 0), with_bars(other, 3))) == set()


def with_bars(images: Tensor, noise: int) -> Tensor:
    """Return images between black bars as high as a block of JPEG, with noise of so many levels."""
    barred = nn.functional.pad(images, (0, 0, 8, 8)).int()
    added = torch.randint(0, noise + 1, barred.shape, generator=torch.Generator().manual_seed(0))
    return (barred + added).clamp(max=255).to(torch.uint8)


def enlarged(images: Tensor) -> Tensor:
    """Return images of pixels that are as large as a block of JPEG."""
    return images[:, :, 4::8, 4::8].repeat_interleave(8, 2).repeat_interleave(8, 3)


CLEAN: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "crops": lambda: (crops(seed=1), crops(seed=2)),
    "digits": lambda: digits()[:2],
    "crops of few": lambda: (crops(200, seed=3), crops(80, seed=4)),
    "both as JPEG": lambda: (as_jpeg(crops(seed=1), 75), as_jpeg(crops(seed=2), 75)),
    "both grey": lambda: tuple(crops(seed=s)[:, :1].expand(-1, 3, -1, -1) for s in (1, 2)),  # pyright: ignore
    "both dark": lambda: (crops(seed=1) // 2, crops(seed=2) // 2),
    "bars, with noise on one side": lambda: (with_bars(crops(seed=1), 0), with_bars(crops(seed=2), 3)),
    "large pixels on one side": lambda: (crops(seed=1), enlarged(crops(seed=2))),
}


@pytest.mark.parametrize("pair", CLEAN)
def test_nothing_is_found_in_clean_images(pair: str) -> None:
    found = facts(*CLEAN[pair]())
    assert faults(found) == set()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_found_in_further_clean_images(seed: int) -> None:
    assert faults(facts(crops(seed=seed + 10), crops(seed=seed + 100))) == set()
    assert faults(facts(*digits(seed + 1)[:2])) == set()


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="Debian's dataset-fashion-mnist is not installed")
@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_in_fashion_mnist(seed: int) -> None:
    import gzip

    content = gzip.decompress((MNIST / "train-images-idx3-ubyte.gz").read_bytes())
    images = torch.from_numpy(np.frombuffer(content, np.uint8, offset=16).reshape(-1, 1, 28, 28).copy())
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:6000]
    images = nn.functional.pad(images[chosen], (2, 2, 2, 2)).expand(-1, 3, -1, -1)
    assert faults(facts(images[:3000], images[3000:])) == set()


def test_what_a_check_lacks_it_says() -> None:
    grey = crops(seed=1)[:, :1].expand(-1, 3, -1, -1)
    found = verdicts(facts(grey, grey[:100]))
    assert {name for name, verdict in found.items() if verdict == "cannot tell"} == {
        "weights",
        "channel order",
        "classes",
        "reference",
    }
    assert verdicts(facts(grey[:30], grey))["real against itself"] == "cannot tell"
    tiny = crops(seed=1, side=12)
    assert verdicts(facts(tiny, tiny))["compression"] == "cannot tell"


def test_every_finding_has_numbers_in_its_sentence_and_every_fault_a_remedy() -> None:
    for check, finding in findings(facts(crops(seed=1), as_jpeg(repeated(crops(seed=2)), 60)[:33])).items():
        assert finding.sentence.endswith((".", ": ")), check.name
        assert finding.verdict == "cannot tell" or any(letter.isdigit() for letter in finding.sentence), check.name
        assert finding.verdict != "fault" or finding.remedy, check.name
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_no_sentence_tells_a_bias_below_0_or_a_threshold_of_0() -> None:
    few = replace(facts(crops(seed=1), crops(seed=2)[:33]), half_value=2.0, value=3.0, corrected=None)
    told = next(found for check, found in findings(few).items() if check.name == "number")
    assert ("bias" in told.numbers, "chance outweighs the bias" in told.sentence) == (False, True)
    images = crops(seed=1)
    narrow = facts(images, images)
    narrow = replace(narrow, real=replace(narrow.real, directions=1.0))
    itself = next(found for check, found in findings(narrow).items() if check.name == "real against itself")
    assert "0.00 " not in itself.sentence
    assert itself.numbers["floor_sd"] == pytest.approx(itself.numbers["floor"] * 2**0.5)


@pytest.mark.parametrize("kept", [0.2, 1.0])
def test_a_class_that_lacks_images_is_found_by_its_folder(kept: float) -> None:
    real, fake, of_real, of_fake = digits()
    chosen = (of_fake != 3) | (np.random.default_rng(0).random(len(of_fake)) < kept)
    one, other = ({str(k): n for k, n in Counter(side.tolist()).items()} for side in (of_real, of_fake[chosen]))
    found = facts(real, fake[torch.from_numpy(chosen)], classes=(one, other))
    assert faults(found) == ({"classes"} if kept < 1 else set())


class Brightness(nn.Module):
    """Takes images for one of three classes by their brightness."""

    def forward(self, images: Tensor):
        from streaming_metrics import Features

        mean = images.float().mean((1, 2, 3))
        logits = -torch.stack([(mean - centre).abs() for centre in (60, 120, 180)], 1)
        return Features(pool=torch.stack([mean, mean**2], 1), logits=logits)


def test_a_class_is_found_by_predictions_where_folders_say_nothing() -> None:
    network = ModuleExtractor(Brightness(), tag="brightness")
    one, other = crops(seed=1), crops(seed=2)
    assert "classes" not in faults(facts(one, other, network))
    dark = other[other.float().mean((1, 2, 3)) < 110]
    assert "classes" in faults(facts(one, dark, network))


def test_real_images_among_the_generated_ones_are_found() -> None:
    images = crops(seed=1)
    assert faults(facts(images, images)) == {"real against itself"}
    noise = torch.randint(0, 2, images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert faults(facts(images, images // 2 * 2 + noise)) == {"real against itself"}


def test_what_real_images_would_score_is_about_what_they_do() -> None:
    found = [facts(crops(seed=seed), crops(100, seed=seed + 50)) for seed in range(5)]
    assert sum(floor(one) or 0 for one in found) == pytest.approx(sum(one.value for one in found), rel=0.4)


def reference_of(images: Tensor, path: Path) -> Reference:
    metric = GenerativeMetrics("fid", described())
    metric.update(images, real=True)
    metric.save_reference(path)
    return Reference.load(path)


@pytest.mark.parametrize("name", ["saved.safetensors", "saved.npz"])
def test_a_reference_of_other_images_is_found(name: str, tmp_path: Path) -> None:
    real, fake = crops(seed=1), crops(seed=2)
    own, same_kind = (reference_of(images, tmp_path / name) for images in (real, crops(seed=3)))
    assert faults(facts(real, fake, file=own)) == set()
    assert faults(facts(real, fake, file=same_kind)) == set()
    other = reference_of(as_jpeg(crops(seed=3), 5).float().mul(0.8).to(torch.uint8), tmp_path / name)
    found = facts(real, fake, file=other)
    assert faults(found) == {"reference"}


def test_the_score_against_a_file_of_the_same_images_is_the_same(tmp_path: Path) -> None:
    real, fake = crops(seed=1), crops(seed=2)
    seen, protocols = examined(real, fake, file=reference_of(real, tmp_path / "saved"))
    setting = protocols[0].setting
    assert seen.value(replace(setting, reference="file")) == pytest.approx(seen.value(setting), rel=1e-9)


def test_the_error_rate_of_all_checks_together_is_a_thousandth() -> None:
    assert 1 - (1 - ALPHA) ** len(CHECKS) < 0.002


def test_rare_classes_are_told_together() -> None:
    rare = samples.compared(np.array([90, 3, 4, 2, 1]), np.array([60, 30, 4, 3, 3]), [*"abcde"])
    assert rare is not None
    rare = rare._replace(name=samples.RARE)
    told = samples._of_shares(rare, 0.1, " of the network", "").sentence
    assert told.startswith("All rare classes of the network have ")
    told = samples._of_shares(rare._replace(name="cat"), 0.1, ", by folder,", "").sentence
    assert told.startswith("Class cat, by folder, has ")
