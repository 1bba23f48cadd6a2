"""Ways between samples: of models that have a method for them, alike every time, at no cost to the training."""

# ruff: noqa: ARG002 (interpolate has fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from test_report import Page
from torch import Tensor, nn
from trainings import QUIET, REAL, Model, loader, monitor, trainer

from streaming_metrics import PRDC
from streaming_metrics.monitor.interpolation import STEPS, WAYS, draw_ways

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = QUIET


class Between(Model):
    """A model that interpolates; its method counts, draws and changes a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def interpolate(self, ways: int, steps: int) -> Tensor:
        start, end = torch.randn(2, ways, 1, 4)
        codes = start.lerp(end, torch.linspace(0, 1, steps).view(1, steps, 1)).flatten(0, 1)
        self.norm.train()(codes)
        return self.layer(codes).sigmoid().view(ways, steps, 3, 8, 8)


class Flat(Between):
    def interpolate(self, ways: int, steps: int) -> Tensor:
        return super().interpolate(ways, steps).flatten(0, 1)


class Grey(Between):
    def interpolate(self, ways: int, steps: int) -> Tensor:
        return super().interpolate(ways, steps)[:, :, :1]


class Broken(Model):
    def interpolate(self, ways: int, steps: int) -> Tensor:
        return torch.zeros(3, 3, 8, 8)


class Other(Model):
    def interpolate(self, images: Tensor) -> Tensor:
        return images


def ways_of(model: Any, seed: int = 0) -> Tensor:
    ways = draw_ways(model.eval(), (0, 1), seed)
    assert ways is not None
    return ways


@pytest.mark.parametrize("cls", [Between, Flat, Grey])
def test_ways_are_of_one_shape_and_of_their_seed(cls: type[Between]) -> None:
    torch.manual_seed(0)
    model = cls()
    state, before = torch.get_rng_state(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ways = ways_of(model)
    assert (ways.shape, ways.dtype) == ((WAYS, STEPS, 3, 8, 8), torch.uint8)
    assert torch.equal(ways, ways_of(model))
    assert not torch.equal(ways, ways_of(model, seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not model.norm.training


def test_flat_ways_are_in_the_same_order() -> None:
    torch.manual_seed(0)
    model, flat = Between(), Flat()
    flat.load_state_dict(model.state_dict())
    assert torch.equal(ways_of(model), ways_of(flat))


@pytest.mark.parametrize("cls", [Model, Other])
def test_a_model_without_the_method_has_none(cls: type[Model]) -> None:
    assert draw_ways(cls(), (0, 1), 0) is None


def test_a_method_that_fails_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="The report shows no ways between samples: .*Expected 32 images"):
        assert draw_ways(Broken(), (0, 1), 0) is None


def test_the_report_shows_them_with_the_other_sections(tmp_path: Path) -> None:
    watching = monitor([PRDC(k=2)], report=True)
    trainer(watching, default_root_dir=tmp_path).validate(Between(), loader(REAL), verbose=False)
    page = Page((tmp_path / "report-validate.html").read_text())
    headings = ["Modes", "Map of features", "Units that tell the sides apart", "Between samples"]
    assert [heading for heading in page.headings if heading in headings] == headings
    assert "4 ways between samples, 8 steps each" in [image["alt"] for image in page.images]
    assert sum(image["alt"] == "Real, of this mode" for image in page.images) >= 20
