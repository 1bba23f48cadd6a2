"""Logistic regression: a linear classifier of two classes, with a penalty on its squared weights.

Parity target: scikit-learn's ``LogisticRegression(C=1)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit


class Linear(NamedTuple):
    """A function ``x·weights + bias`` of rows ``(N, D)``, positive where the first class is likelier."""

    weights: np.ndarray
    bias: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return ``(N,)``."""
        return x @ self.weights + self.bias


def logistic_regression(x: np.ndarray, signs: np.ndarray, penalty: float = 1.0) -> Linear:
    """Return the minimum of ``Σ log(1 + exp(−sign · f(x))) + penalty · ‖weights‖² / 2``, found by L-BFGS.

    Args:
        x: ``(N, D)`` float64.
        signs: ``(N,)``, 1 for the first class and −1 for the second.
        penalty: λ; the bias is free.

    Example:
        >>> f = logistic_regression(np.array([[0.0], [2.0]]), np.array([-1.0, 1.0]))
        >>> f(np.array([[0.0], [1.0], [2.0]])).round(3)
        array([-0.675, -0.   ,  0.675])
    """

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = signs * (x @ weights + bias)
        pull = -signs * expit(-margins)
        gradient = np.append(x.T @ pull + penalty * weights, pull.sum())
        return penalty * (weights @ weights) / 2 - log_expit(margins).sum(), gradient

    options = {"maxiter": 1000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-5}
    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return Linear(found[:-1], float(found[-1]))
