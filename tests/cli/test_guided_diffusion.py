"""guided-diffusion's five numbers, of files of its own form: by its definitions, and as its authors publish them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference_weights import draw_images
from typer.testing import CliRunner

from streaming_metrics.__main__ import app
from streaming_metrics.extractors import InceptionV3

MOMENTS = "fid,sfid,is(split_size={})"
NEIGHBOURS = "prdc(variant=guided-diffusion)"
trusting = pytest.mark.filterwarnings("ignore:The .npz does not say", "ignore::streaming_metrics.BiasWarning")


def five_numbers(real: Path, fake: Path, split_size: int, tag: str, *options: object) -> dict[str, float]:
    """Return what the command line makes of a reference file and a file of samples."""
    found: dict[str, float] = {}
    for part, measures in (("mu", MOMENTS.format(split_size)), ("arr_0", NEIGHBOURS)):
        line = ["compare", f"{real}:{part}", fake, "--measures", measures, "--json", "-", *options]
        result = CliRunner().invoke(app, [str(word) for word in line])
        assert result.exit_code == 0, result.stderr
        found |= json.loads(result.stdout)["scores"]
    names = {"fid": "fd"} if tag else {}
    return {key: found[names.get(key, key) + tag] for key in ("fid", "sfid", "is", "precision", "recall")}


def squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Exact squared distances, rounded to float16 where it holds them."""
    exact = ((x.astype(np.float64)[:, None] - y.astype(np.float64)[None]) ** 2).sum(2)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float16).astype(np.float64)
    return np.where(np.isfinite(rounded), rounded, exact)


def defined(real: dict[str, Any], fake: dict[str, np.ndarray], images: np.ndarray, size: int) -> dict[str, float]:
    """Return the five numbers as ``evaluations/evaluator.py`` defines them; the file's covariances are diagonal."""

    def frechet(column: str, mu: str, sigma: str) -> float:
        rows = fake[column].astype(np.float64)
        mean, centred = rows.mean(0), (rows - rows.mean(0)) / np.sqrt(len(rows) - 1)
        root = np.sqrt(np.linalg.eigvalsh(centred @ real[sigma] @ centred.T).clip(0)).sum()  # of Σ = centredᵀ·centred
        return float(((mean - real[mu]) ** 2).sum() + (centred**2).sum() + np.trace(real[sigma]) - 2 * root)

    p = torch.from_numpy(fake["logits"]).double().softmax(1).numpy()
    parts = [p[start : start + size] for start in range(0, len(p), size)]
    scores = [np.exp((part * (np.log(part) - np.log(part.mean(0)))).sum(1).mean()) for part in parts]
    balls = [np.sort(squared(side, side), 1)[:, 3] for side in (images, fake["pool"])]
    between = squared(images, fake["pool"])
    return {
        "fid": frechet("pool", "mu", "sigma"),
        "sfid": frechet("spatial", "mu_s", "sigma_s"),
        "is": float(np.mean(scores)),
        "precision": float((between <= balls[0][:, None]).any(0).mean()),
        "recall": float((between <= balls[1][None]).any(1).mean()),
    }


@trusting
@pytest.mark.slow
def test_files_of_its_form_score_as_it_defines_them(inception_weights: Path, tmp_path: Path) -> None:
    images, samples = draw_images(12, 32, 32, seed=1), draw_images(14, 32, 32, seed=2)
    network = InceptionV3(inception_weights)
    of_images, of_samples = (
        {name: column.numpy() for name, column in network(side).columns().items()} for side in (images, samples)
    )
    generator = np.random.default_rng(0)
    real: dict[str, Any] = {}
    for column, mu, sigma in (("pool", "mu", "sigma"), ("spatial", "mu_s", "sigma_s")):  # of more than those images
        scale = generator.uniform(0.5, 1.5, of_samples[column].shape[1])
        real |= {mu: of_samples[column].mean(0, np.float64) + 0.1, sigma: np.diag(scale)}
    np.savez(tmp_path / "ref.npz", arr_0=images.permute(0, 2, 3, 1).numpy(), **real)
    np.savez(tmp_path / "samples.npz", samples.permute(0, 2, 3, 1).numpy())
    options = "--weights", inception_weights
    found = five_numbers(tmp_path / "ref.npz", tmp_path / "samples.npz", 5, "_inception_v3", *options)
    expected = defined(real, of_samples, of_images["pool"], 5)
    assert found == pytest.approx(expected, rel=1e-4)


FILES = Path(torch.hub.get_dir(), "checkpoints")
"""Where the two files are looked for, which its authors publish beside their code."""
PUBLISHED = {"fid": 3.9425574129223264, "sfid": 6.140433703346162, "is": 215.8370361328125}
PUBLISHED |= {"precision": 0.8265, "recall": 0.5309}
"""``evaluations/README.md`` of openai/guided-diffusion, of TensorFlow's graph."""
APART = {"fid": 0.02, "sfid": 0.05, "is": 0.5, "precision": 0.005, "recall": 0.005}
"""How far another program's features, and distances whose every step is rounded to float16, may move each."""


@trusting
@pytest.mark.weights
def test_published_files_score_as_published() -> None:
    real, fake = FILES / "VIRTUAL_imagenet256_labeled.npz", FILES / "admnet_guided_upsampled_imagenet256.npz"
    if not (real.exists() and fake.exists()):
        pytest.skip(f"needs {real.name} and {fake.name} in {FILES}")
    found = five_numbers(real, fake, 5000, "")
    assert [key for key, value in PUBLISHED.items() if abs(found[key] - value) > APART[key]] == [], found
