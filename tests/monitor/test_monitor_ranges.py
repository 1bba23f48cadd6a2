"""Ranges and forms of images in the monitor: each side's own, what samplers return, and keys that are not guessed."""

# ruff: noqa: ARG002, ARG005 (samplers and hooks have fixed arguments)

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from trainings import QUIET, REAL, TINY, Model, expected, loader, monitor, trainer, validate

from streaming_metrics import FID, GenerativeMetrics
from streaming_metrics.images.batches import as_uint8, find_images
from streaming_metrics.sampling import chunks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [*QUIET, TINY]

UNIT, SIGNED = REAL / 255, REAL / 127.5 - 1
DRAWN = torch.cat([REAL[: chunk.size] for chunk in chunks(20, 8)])


def perfect(images: Tensor) -> Callable[..., Tensor]:
    return lambda model, n: images[:n]


# Each side's range.


@pytest.mark.parametrize(
    ("real", "drawn", "ranges"), [(SIGNED, UNIT, ((-1, 1), (0, 1))), (UNIT, SIGNED, ((0, 1), (-1, 1)))]
)
def test_samples_may_have_a_range_of_their_own(real: Tensor, drawn: Tensor, ranges: Any) -> None:
    value_range, sample_range = ranges
    watching = monitor([FID()], sample=perfect(drawn), value_range=value_range, sample_range=sample_range)
    assert validate(watching, real=loader(real)) == pytest.approx(expected(DRAWN, measures=[FID()]), rel=1e-6)


def test_fakes_of_the_step_too() -> None:
    class Unit(Model):
        def validation_step(self, batch: list[Tensor], batch_idx: int) -> Any:
            return {"fake": (batch[0].flip(-1) + 1) / 2}

    watching = monitor([FID()], fake_key="fake", value_range=(-1, 1), sample_range=(0, 1))
    got = trainer(watching).validate(Unit(), loader(SIGNED), verbose=False)[0]
    assert got == pytest.approx(expected(REAL.flip(-1), measures=[FID()]), rel=1e-6)


def test_without_a_range_whole_numbers_are_taken() -> None:
    quiet: Any = {"value_range": None}
    assert validate(monitor([FID()], sample=perfect(REAL), **quiet)) == pytest.approx(expected(DRAWN, measures=[FID()]))


def test_a_range_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="low < high"):
        monitor(sample_range=(1, 0))


WRONG = [
    (SIGNED, UNIT, "generated images never leave the upper half of sample_range=\\(-1, 1\\)"),
    (UNIT, SIGNED, "real images never leave the upper half of value_range=\\(-1, 1\\)"),
    (REAL, UNIT, "generated images never leave the upper half"),
    (SIGNED, SIGNED / 2 - 0.5, "generated images never leave the lower half"),
]


@pytest.mark.parametrize(("real", "drawn", "message"), WRONG)
def test_a_side_that_never_leaves_half_of_its_range_is_said(real: Tensor, drawn: Tensor, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        validate(monitor([FID()], sample=perfect(drawn), value_range=(-1, 1)), real=loader(real))


def test_nothing_is_said_where_both_or_neither_do_or_pixels_are_whole_numbers_or_flat() -> None:
    quiet = [
        (SIGNED, SIGNED),
        (UNIT, UNIT),
        (SIGNED, REAL // 2),
        (REAL // 2, SIGNED),
        (SIGNED, torch.full_like(SIGNED, 0.5)),
    ]
    for real, drawn in quiet:
        validate(monitor([FID()], sample=perfect(drawn), value_range=(-1, 1)), real=loader(real))


def test_against_a_reference_file_and_a_frozen_side(tmp_path: Path) -> None:
    reference = GenerativeMetrics([FID()], monitor([FID()]).metric.extractor)
    reference.update(REAL, real=True)
    reference.save_reference(tmp_path / "real.safetensors")
    with pytest.warns(UserWarning, match="never leave the upper half"):
        validate(
            monitor([FID()], sample=perfect(UNIT), value_range=(-1, 1), real=tmp_path / "real.safetensors"),
            real=loader(SIGNED),
        )
    later = monitor([FID()], sample=lambda m, n: (UNIT if m.current_epoch else SIGNED)[:n], value_range=(-1, 1))
    with pytest.warns(UserWarning, match="never leave the upper half"):
        trainer(later).fit(Model(), loader(), loader(SIGNED))


@pytest.mark.usefixtures("forks")
def test_the_range_is_that_of_all_ranks() -> None:
    halves = torch.where(torch.arange(22).view(-1, 1, 1, 1) % 2 == 0, UNIT[:22], -UNIT[:22])  # even ones on rank 0
    validate(
        monitor([FID()], sample=perfect(SIGNED), value_range=(-1, 1)),
        real=loader(halves),
        devices=2,
        strategy="ddp_fork",
    )


# What samplers return.


@dataclass
class Output:
    images: Any
    latents: Any = None


class Pair(NamedTuple):
    sample: Any
    nsfw: list[bool]


class ModelOutput(OrderedDict):  # pyright: ignore[reportMissingTypeArgument]
    """As transformers' outputs are."""


class ImagePipelineOutput(OrderedDict):  # pyright: ignore[reportMissingTypeArgument]
    """As diffusers' outputs are."""

    __module__ = "diffusers.pipelines.pipeline_utils"

    @property
    def images(self) -> Any:
        return self["images"]


def last(images: Tensor) -> Tensor:
    return images.movedim(1, -1)


def pil(images: Tensor) -> list[Image.Image]:
    return [Image.fromarray(image.numpy()) for image in last(images)]


FORMS: dict[str, tuple[Callable[[Tensor], Any], tuple[float, float]]] = {
    "PIL": (pil, (-1, 1)),
    "uint8 array": (lambda x: last(x).numpy(), (-1, 1)),
    "float array": (lambda x: last(x / 255).numpy(), (0, 1)),
    "signed float array": (lambda x: last(x / 127.5 - 1).numpy(), (-1, 1)),
    "float64 array, channels first": (lambda x: (x / 255).double().numpy(), (0, 1)),
    "tensor, channels last": (last, (-1, 1)),
    "tuple of tensors": (lambda x: tuple(x / 255), (0, 1)),
    "list of arrays": (lambda x: [image.numpy() for image in last(x)], (0, 1)),
    "read-only array": (lambda x: np.broadcast_to(last(x).numpy(), last(x).shape), (0, 1)),
    "diffusers, PIL": (lambda x: ImagePipelineOutput(images=pil(x)), (-1, 1)),
    "diffusers, arrays": (lambda x: ImagePipelineOutput(images=last(x / 255).numpy()), (-1, 1)),
    "diffusers, tensors": (lambda x: ImagePipelineOutput(images=x / 255), (-1, 1)),
    "a pipeline's output": (lambda x: Output(images=last(x / 255).numpy()), (-1, 1)),
    "return_dict=False": (lambda x: (pil(x),), (0, 1)),
    "a dataclass": (lambda x: Output(images=x / 127.5 - 1, latents=torch.zeros(len(x), 4, 2, 2)), (-1, 1)),
    "a named tuple": (lambda x: Pair(x / 127.5 - 1, [False] * len(x)), (-1, 1)),
    "a model's output": (lambda x: ModelOutput(sample=x / 127.5 - 1), (-1, 1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_images(form: str) -> None:
    make, sample_range = FORMS[form]
    assert torch.equal(as_uint8(make(REAL), sample_range, "sample", len(REAL)), REAL)


def test_grey_ones_are_spread() -> None:
    grey = REAL[:, :1]
    for form in (
        last(grey).numpy(),
        [image[0].numpy() for image in grey],
        [Image.fromarray(i[0].numpy()) for i in grey],
    ):
        assert torch.equal(as_uint8(form, (0, 1), "sample"), grey.expand(-1, 3, -1, -1))


@pytest.mark.parametrize("form", ["PIL", "diffusers, arrays", "return_dict=False"])
def test_a_sampler_may_return_it(form: str) -> None:
    make, _ = FORMS[form]
    watching = monitor([FID()], sample=lambda model, n: make(REAL[:n]), value_range=(-1, 1))
    assert validate(watching, real=loader(SIGNED)) == pytest.approx(expected(DRAWN, measures=[FID()]), rel=1e-6)


REFUSED = [
    (np.zeros((4, 3, 8, 3), np.uint8), r"an array \(4, 3, 8, 3\).*either axis.*Remedy: torch.from_numpy"),
    ([np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)], "images of one size.*Remedy: resize"),
    (Output(images=REAL[:4], latents=REAL[:4]), "one field of images in a Output.*'images'.*'latents'.*Remedy"),
    (np.zeros((4, 8, 8, 4), np.uint8), r"\(4, 4, 8, 8\)"),
    ((REAL[:4], REAL[:4]), "a tuple of Tensor, Tensor"),
    (pil(REAL[:3]), "Expected 4 images.*a list of Image"),
]


@pytest.mark.parametrize(("returned", "message"), REFUSED)
def test_what_may_be_read_in_two_ways_is_refused_with_the_remedy(returned: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"sample: .*{message}"):
        as_uint8(returned, (0, 1), "sample", 4)


# Where images are in a batch.


@pytest.mark.parametrize(
    "batch",
    [
        {"input": REAL, "target": REAL},
        {"x": UNIT, "y": UNIT},
        {"image": REAL, "mask": UNIT[:, :1]},
        [REAL, REAL],
    ],
)
def test_several_images_in_a_batch_are_asked_about(batch: Any) -> None:
    first, second = batch if isinstance(batch, dict) else (0, 1)
    with pytest.raises(ValueError, match=rf"{first!r}: a tensor.*{second!r}: a tensor.*Remedy.*image_key={first!r}"):
        find_images(batch)
    assert find_images(batch, second).shape[0] == len(REAL)


@pytest.mark.parametrize(
    "batch",
    [
        {"anything": REAL, "label": torch.zeros(23), "names": ["a"] * 23},
        (torch.zeros(23), REAL, torch.zeros(23, 8, 8)),
        {"latents": torch.zeros(23, 4, 2, 2), "pixels": REAL, "mask": torch.zeros(23, 1, 8, 8, dtype=torch.bool)},
        Output(images=REAL),
        Pair(REAL, [False]),
        {"photo": last(REAL).numpy()},
        [pil(REAL), [0] * 23],
    ],
)
def test_the_only_images_in_a_batch_are_found_under_any_key(batch: Any) -> None:
    assert torch.equal(find_images(batch), REAL)


def test_the_monitor_asks_rather_than_guesses() -> None:
    rows: Any = [{"input": image, "target": image} for image in REAL]
    with pytest.raises(ValueError, match=r"several: 'input'.*'target'"):
        validate(monitor([FID()]), real=DataLoader(rows, batch_size=4))


def test_arrays_of_a_dataset_are_images_too() -> None:
    arrays: Any = DataLoader(list(last(REAL).numpy()), batch_size=4, collate_fn=np.stack)
    got = trainer(monitor([FID()], sample=perfect(UNIT))).validate(Plain(), arrays, verbose=False)[0]
    assert got == pytest.approx(expected(DRAWN, measures=[FID()]), rel=1e-6)


class Plain(Model):
    def validation_step(self, batch: Any, batch_idx: int) -> None: ...
