"""SciPy 1.18 took ``sqrtm(disp=)`` away: pytorch-fid breaks, its formula as our oracle does not, and we never ask."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.linalg
from peers import pytorch_fid_distance
from pytorch_fid import fid_score
from scores import normal, score

from streaming_metrics import FID

if TYPE_CHECKING:
    from torch import Tensor

REAL, FAKE = normal(0, 90, 12), normal(1, 70, 12, 0.3, 1.4)
sqrtm = scipy.linalg.sqrtm


def fit(features: Tensor) -> tuple[np.ndarray, np.ndarray]:
    rows = features.double().numpy()
    return rows.mean(0), np.cov(rows, rowvar=False)


@pytest.fixture
def no_disp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scipy.linalg, "sqrtm", lambda A: sqrtm(A))


@pytest.mark.usefixtures("no_disp")
def test_pytorch_fid_breaks_and_the_oracle_does_not() -> None:
    with pytest.raises(TypeError, match="disp"):
        fid_score.calculate_frechet_distance(*fit(REAL), *fit(FAKE))
    assert score(FID(), REAL, FAKE)["fid"] == pytest.approx(pytorch_fid_distance(*fit(REAL), *fit(FAKE)), rel=1e-9)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
@pytest.mark.skipif("disp" not in signature(sqrtm).parameters, reason="this SciPy is without disp already")
def test_the_oracle_computes_what_pytorch_fid_computes() -> None:
    theirs = fid_score.calculate_frechet_distance(*fit(REAL), *fit(FAKE))
    assert pytorch_fid_distance(*fit(REAL), *fit(FAKE)) == theirs


def test_no_root_of_scipys_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    before = score(FID(), REAL, FAKE)
    monkeypatch.delattr(scipy.linalg, "sqrtm")
    assert score(FID(), REAL, FAKE) == before
