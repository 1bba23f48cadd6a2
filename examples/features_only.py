"""Features that you already have, scored batch by batch: noise takes digits away from the real ones.

The Fréchet distance grows, precision falls, and recall rises: balls around noisy samples are so wide that they hold
every real digit. That is why no number is read alone.

Run: python examples/features_only.py [--short]
"""

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from streaming_metrics import FID, IS, KID, PRDC, Features, GenerativeMetrics

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--short", action="store_true", help="two levels of noise instead of four")
noise_levels = [0.0, 0.3] if parser.parse_args().short else [0.0, 0.1, 0.2, 0.3]

# The features are what your own network gives, here 64 pixels; logits, for IS, are a classifier's, here a linear one's.
digits = load_digits()
pixels = digits.data / 16
classifier = LogisticRegression(max_iter=1000).fit(pixels, digits.target)


def features_of(rows: np.ndarray) -> Features:
    """Return the features of some digits, with the logits of their ten classes."""
    logits = classifier.decision_function(rows)
    return Features(pool=torch.from_numpy(rows).float(), logits=torch.from_numpy(logits).float())


measures = [FID(), KID(subset_size=500), IS(), PRDC(k=5)]
metric = GenerativeMetrics(measures, extractor=None, num_features=64, num_classes=10)

# Every other digit is "real". The real side is seen once: frozen, it outlives reset().
for batch in np.array_split(pixels[0::2], 4):
    metric.update(features_of(batch), real=True)
metric.freeze_real()


def scores_under(noise: float) -> dict[str, Tensor]:
    """Return the scores of the other half of the digits, with noise added, against the real ones."""
    draw = np.random.default_rng(seed=0)
    metric.reset()
    for batch in np.array_split(pixels[1::2], 4):
        metric.update(features_of(batch + noise * draw.standard_normal(batch.shape)), real=False)
    return metric.compute()


scores = {noise: scores_under(noise) for noise in noise_levels}
print(f"{'noise':20}" + "".join(f"{noise:9.1f}" for noise in noise_levels))
for key in metric.keys:
    print(f"{key:20}" + "".join(f"{column[key]:9.4f}" for column in scores.values()))
print(metric.signature())
