"""A monitor of clips: samplers, loaders and steps that give them, what is shown of them, and mistakes."""

# ruff: noqa: ARG001, ARG002 (hooks and samplers have fixed arguments)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, seed_everything
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from trainings import QUIET, monitor, trainer
from video_networks import draw_clips, write_i3d

from streaming_metrics import FVD, GenerativeMetrics, JEDi
from streaming_metrics.extractors.i3d import I3D
from streaming_metrics.images.stills import stills_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [*QUIET, pytest.mark.filterwarnings("ignore::streaming_metrics.BiasWarning")]
REAL, DRAWN = draw_clips(7, 12, 16, 24, seed=1), draw_clips(6, 12, 16, 24, seed=2)


class Videos(Dataset):
    def __len__(self) -> int:
        return len(REAL)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"frame": REAL[i, 0].float() / 255, "video": REAL[i], "label": i}


class Model(LightningModule):
    """Draws clips; no training of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def sample(self, n: int) -> Tensor:
        return DRAWN[:n].float() / 255

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.layer.weight.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return {"made": batch["video"].flip(-1)}

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def i3d(tmp_path_factory: pytest.TempPathFactory) -> I3D:
    return I3D(weights=write_i3d(tmp_path_factory.mktemp("i3d") / "i3d.pt"), frames=10)


def watching(extractor: I3D, **options: Any) -> Any:
    return monitor([FVD(), JEDi()], **{"extractor": extractor, "num_samples": 6, "batch_size": 6, **options})


def validate(callback: Any, **options: Any) -> dict[str, float]:
    seed_everything(0, verbose=False)
    loader = DataLoader(Videos(), batch_size=3)
    return dict(trainer(callback, **options).validate(Model(), loader, verbose=False)[0])


def expected(extractor: I3D, fake: Tensor = DRAWN) -> Any:
    metric = GenerativeMetrics([FVD(), JEDi()], extractor)
    metric.update(REAL, real=True)
    metric.update(fake, real=False)
    return pytest.approx({f"val/{key}": value.item() for key, value in metric.compute().items()}, rel=1e-4)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.usefixtures("forks")
def test_the_values_are_those_of_the_clips(world_size: int, i3d: I3D) -> None:
    ranks = {"devices": world_size, "strategy": "ddp_fork"} if world_size > 1 else {}
    sample = None if world_size == 1 else _of_its_share
    options = {"batch_size": 2} if world_size > 1 else {}
    got = validate(watching(i3d, sample=sample, **options), **ranks)
    assert list(got) == ["val/fvd_i3d", "val/jedi_i3d"]
    if world_size == 1:
        assert got == expected(i3d)
    else:
        assert got == expected(i3d, _all_shares())


def _of_its_share(model: Any, n: int) -> Tensor:
    return torch.randint(0, 256, (n, 12, 3, 16, 24), dtype=torch.uint8)


def _all_shares() -> Tensor:
    from streaming_metrics.sampling import chunks, isolated_rng

    drawn = []
    for chunk in chunks(6, 2):
        with isolated_rng(chunk.seed):
            drawn.append(_of_its_share(None, chunk.size))
    return torch.cat(drawn)


FORMS: dict[str, Any] = {
    "uint8": lambda n: DRAWN[:n],
    "channels last": lambda n: DRAWN[:n].movedim(2, -1),
    "an array": lambda n: DRAWN[:n].movedim(2, -1).numpy(),
    "a list of clips": lambda n: list(DRAWN[:n]),
    "a list of arrays": lambda n: [clip.movedim(1, -1).numpy() for clip in DRAWN[:n]],
    "lists of PIL frames": lambda n: [[Image.fromarray(f.permute(1, 2, 0).numpy()) for f in c] for c in DRAWN[:n]],
    "a field": lambda n: {"clips": DRAWN[:n], "latents": torch.zeros(n, 4)},
}


@pytest.mark.parametrize("form", FORMS)
def test_clips_of_any_form_are_taken(form: str, i3d: I3D) -> None:
    assert validate(watching(i3d, sample=lambda _, n: FORMS[form](n))) == expected(i3d)


def test_clips_that_a_step_makes(i3d: I3D) -> None:
    assert validate(watching(i3d, fake_key="made", num_samples=7)) == expected(i3d, REAL.flip(-1))


def test_stills_are_shown_kept_and_reported(i3d: I3D, tmp_path: Path) -> None:
    callback = watching(i3d, keep_samples=tmp_path / "kept", keep=2, report=tmp_path / "page.html")
    loader = DataLoader(Videos(), batch_size=3)
    trainer(callback, max_epochs=1).fit(Model(), loader, loader)
    assert torch.equal(callback.samples, torch.cat([DRAWN[:, 0], DRAWN[:, 5], DRAWN[:, 11]], dim=-1))
    assert callback.samples.shape == (6, 3, 16, 72)
    (folder,) = (tmp_path / "kept").iterdir()
    kept = [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]
    assert np.array_equal(np.stack(kept).transpose(0, 3, 1, 2), stills_of(DRAWN)[:2].numpy())
    assert "fvd" in (tmp_path / "page.html").read_text()


def test_a_gallery_shows_stills_of_both_sides(i3d: I3D, tmp_path: Path) -> None:
    callback = monitor("prdc(k=2)", extractor=i3d, num_samples=6, batch_size=6, report=tmp_path / "page.html")
    loader = DataLoader(Videos(), batch_size=3)
    trainer(callback, max_epochs=1).fit(Model(), loader, loader)
    assert (tmp_path / "page.html").read_text().count("data:image") > 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": lambda _, n: DRAWN[:n, 0]}, r"Expected 6 clips, a tensor \(6, T, 3, H, W\), got a tensor \(6, 3"),
        ({"sample": lambda _, n: DRAWN[:n, :9]}, r"Expected clips of at least 10 frames \(10f\), got \(6, 9, 3"),
        ({"sample": lambda _, n: DRAWN[:n, :, :, :3].movedim(2, -1).numpy()}, "either axis may be"),
        ({"image_key": "frame"}, r"real clips: Expected N clips, a tensor \(N, T, 3, H, W\), got a tensor \(3, 3, 16"),
        ({"image_key": "label"}, "real clips: Expected N clips"),
        ({"fake_key": "other", "num_samples": 7}, "Expected a tensor of clips in what the step returned"),
    ],
)
def test_mistakes_are_said(options: dict[str, Any], message: str, i3d: I3D) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        validate(watching(i3d, **options))


def test_metrics_of_images_beside_clips_are_refused(i3d: I3D) -> None:
    with pytest.raises(ValueError, match="expected networks of images, got one of clips"):
        watching(i3d, paired=["psnr"], fake_key="made")
