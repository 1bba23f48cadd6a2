"""Serves the small study, with twelve trials a rater: ``python serve_small.py FOLDER RATERS PORT``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from small_study import PLAN, TRIALS, small_store

from streaming_metrics.study.limits import Limits
from streaming_metrics.study.serving import serve

LONG = tuple(replace(TRIALS[number % 4], number=number) for number in range(12))

if __name__ == "__main__":
    folder, raters, port = sys.argv[1:]
    with small_store(Path(folder), int(raters)) as store:
        serve(store, PLAN, port=int(port), order=lambda _: LONG, limits=Limits(seconds=1))
