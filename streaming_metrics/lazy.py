"""Lazy names of a package: each is imported when it is first asked for (PEP 562), so that what is not used costs none.

if TYPE_CHECKING:
    from house.room import Thing as Thing
__getattr__, __dir__ = lazy_names(__name__, {"Thing": "house.room"})
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``; its modules are imported too when they are asked for.

    Args:
        package: its ``__name__``.
        homes: the module that each name is defined in.
    """

    def getattribute(name: str) -> Any:
        if name in homes:
            found = getattr(import_module(homes[name]), name)
        elif not name.startswith("_") and find_spec(f"{package}.{name}"):
            found = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        vars(sys.modules[package])[name] = found
        return found

    return getattribute, lambda: sorted(homes)
