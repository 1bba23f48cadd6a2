"""Tracer: counts the calls of a package's functions that running something makes, and the files they are in.

Functions, methods and lambdas count alike, a generator at each of its steps. Comprehensions do not count, which Python
inlines since 3.12, nor do methods that dataclasses write, nor what other threads call.
"""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}


def calls_of(run: Callable[[], Any], package: ModuleType) -> Counter[tuple[str, str]]:
    """Return how often ``run()`` called each ``(file, function)`` of ``package``, files relative to it."""
    root, calls = str(Path(package.__path__[0])) + "/", Counter[tuple[str, str]]()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        is_function = code.co_flags & inspect.CO_OPTIMIZED and code.co_name not in COMPREHENSIONS  # not a class's body
        if event == "call" and is_function and code.co_filename.startswith(root):
            calls[code.co_filename.removeprefix(root), code.co_name] += 1

    earlier = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(earlier)
    return calls
