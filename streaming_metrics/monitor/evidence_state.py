"""State of evidence in a checkpoint: tensors, numbers and words, which load without unpickling anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from streaming_metrics.verdicts.evidence import Evidence, Influence
from streaming_metrics.verdicts.sequential import Best

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN = ("key", "value", "better", "both")


def best_state(best: Best | None) -> dict[str, Any] | None:
    """Return a best as tensors and plain values; None for none.

    Example:
        >>> import numpy as np
        >>> evidence = Evidence("fid", 2.5, Influence(np.arange(2), np.ones(2), 2))
        >>> restored_best(best_state(Best("epoch 3", 2.5, {2: evidence}))).evidence[2].fake.values
        array([1., 1.])
    """
    if best is None:
        return None
    evidence = {
        n: {name: getattr(one, name) for name in PLAIN} | {"fake": _influence(one.fake), "real": _influence(one.real)}
        for n, one in best.evidence.items()
    }
    return {"name": best.name, "value": best.value, "evidence": evidence}


def restored_best(state: Mapping[str, Any] | None) -> Best | None:
    """Return the best that :func:`best_state` returned the state of."""
    if state is None:
        return None
    evidence = {
        n: Evidence(
            **{name: one[name] for name in PLAIN}, fake=_read(one["fake"]), real=one["real"] and _read(one["real"])
        )
        for n, one in state["evidence"].items()
    }
    return Best(state["name"], state["value"], evidence)


def _influence(influence: Influence | None) -> dict[str, Any] | None:
    if influence is None:
        return None
    tensors = {"index": torch.from_numpy(influence.index), "values": torch.from_numpy(influence.values)}
    return {**tensors, "num_samples": influence.num_samples, "cluster": influence.cluster}


def _read(state: Mapping[str, Any]) -> Influence:
    arrays = {name: state[name].cpu().numpy() for name in ("index", "values")}
    return Influence(**arrays, num_samples=state["num_samples"], cluster=state["cluster"])
