"""Evidence in files: as JSON that reads back to the same bits, checked on the way in."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming_metrics.files.atomic import atomic_write
from streaming_metrics.verdicts import KIND
from streaming_metrics.verdicts.evidence import Evidence, Influence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FLOAT64 = "<f8"
"""Influence values are the base64 of these: 11 characters each, and no digit lost."""
NEEDED = {"ids", "influence", "num_samples", "cluster"}


def to_json(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Return the evidence of scores as JSON has it, by key.

    Ids are decimal numbers in one text, influence values float64 in base64: about 17 KB for 1000 rows of a side.

    Example:
        >>> side = Influence(np.array([0, 2, 5]), np.array([1.0, -1.0, 0.5]), num_samples=6)
        >>> to_json({"fid": Evidence("fid", 3.5, side)})["fid"]["fake"]["ids"]
        '0 2 5'
    """
    return {key: _told(one) for key, one in evidence.items()}


def from_json(told: object) -> dict[str, Evidence]:
    """Return the evidence that :func:`to_json` told, the same bits.

    Raises:
        ValueError: naming the key of what is damaged.
    """
    if not isinstance(told, dict):
        raise ValueError(f"evidence: expected an object of keys, got {type(told).__name__}.")
    return {str(key): _read(str(key), one) for key, one in told.items()}


def save_scores(
    path: str | Path, scores: Mapping[str, float], signature: str, evidence: Mapping[str, Evidence], **more: Any
) -> None:
    """Write scores and their evidence as ``streaming-metrics compare --json`` does, whole or not at all.

    Args:
        path: of the file.
        scores: by reported key.
        signature: how they came about.
        evidence: by key.
        more: ``real=`` and ``fake=``, where the samples came from, as mappings with ``source`` and ``num_samples``;
            ``ids=``, what tells whether generated samples are of the same seeds.
    """
    plain = {key: value if isfinite(value) else None for key, value in scores.items()}
    told = {"kind": KIND, "scores": plain, "signature": signature, **more, "evidence": to_json(evidence)}
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _told(one: Evidence) -> dict[str, Any]:
    value = one.value if isfinite(one.value) else None
    sides = {"fake": one.fake} | ({} if one.real is None else {"real": one.real})
    return {"value": value, "better": one.better, "both": one.both} | {
        role: _told_side(side) for role, side in sides.items()
    }


def _told_side(side: Influence) -> dict[str, Any]:
    return {
        "num_samples": side.num_samples,
        "cluster": side.cluster,
        "ids": " ".join(map(str, side.index.tolist())),
        "influence": b64encode(side.values.astype(FLOAT64).tobytes()).decode(),
    }


def _read(key: str, told: Any) -> Evidence:
    _expect(isinstance(told, dict) and {"value", "better", "both", "fake"} <= told.keys(), key, "its parts", told)
    value, better, both = told["value"], told["better"], told["both"]
    _expect(value is None or _is_number(value), key, "a value", value)
    _expect(better in ("lower", "higher"), key, "better to be lower or higher", better)
    _expect(isinstance(both, bool), key, "both to be true or false", both)
    real = told.get("real")
    return Evidence(
        key,
        nan if value is None else float(value),
        _read_side(f"{key}: fake", told["fake"]),
        None if real is None else _read_side(f"{key}: real", real),
        better,
        both,
    )


def _read_side(where: str, told: Any) -> Influence:
    _expect(isinstance(told, dict) and told.keys() >= NEEDED, where, f"{', '.join(sorted(NEEDED))}", told)
    num_samples, cluster = told["num_samples"], told["cluster"]
    _expect(_is_count(num_samples) and _is_count(cluster), where, "counts", (num_samples, cluster))
    try:
        index = np.array([int(number) for number in told["ids"].split()], dtype=np.int64)
        values = np.frombuffer(b64decode(told["influence"], validate=True), FLOAT64).astype(np.float64)
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"evidence of {where}: expected ids and influence values, got {error}.") from error
    is_ascending = bool((np.diff(index) > 0).all()) and not (index[:1] < 0).any()
    _expect(is_ascending, where, "ids that ascend", told["ids"])
    _expect(
        len(index) == len(values) <= num_samples, where, f"as many ids as values, at most {num_samples}", len(index)
    )
    _expect(bool(np.isfinite(values).all()), where, "finite influence values", "others")
    return Influence(index, values, num_samples, cluster)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _expect(holds: bool, where: str, what: str, got: object) -> None:
    if not holds:
        raise ValueError(f"evidence of {where}: expected {what}, got {repr(got)[:60]}.")
