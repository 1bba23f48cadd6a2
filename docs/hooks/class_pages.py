"""Page of classes: what each takes, read off its source; nothing of it is imported."""

from __future__ import annotations

import ast

from site_links import REPOSITORY

from streaming_metrics.measures.docstrings import arguments_of, paragraphs_of

CLASSES = {
    "GenerationMonitor": "streaming_metrics/monitor/callback.py",
    "GenerativeMetrics": "streaming_metrics/core/shell.py",
}
OPENING = """# Arguments

All that {names} take, with their defaults, as `help()` tells it. What measures take, stands on
[their pages](measures.md); what to do with it, on [the monitor's](monitor.md) and in the
[quickstart](quickstart.md)."""


def page() -> str:
    """Return the page."""
    names = " and ".join(f"`{name}`" for name in CLASSES)
    return "\n\n".join([OPENING.format(names=names), *(_section(name, path) for name, path in CLASSES.items())]) + "\n"


def _section(name: str, path: str) -> str:
    """Return what a class is, and its arguments as a list of definitions."""
    tree = _read(path)
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    docstring, defaults = ast.get_docstring(found) or "", _defaults(found, tree)
    told = (f"`{one}{defaults.get(one, '')}`\n:   {text}" for one, text in arguments_of(docstring).items())
    return "\n\n".join([f"## {name}", *paragraphs_of(docstring), *told])


def _defaults(found: ast.ClassDef, tree: ast.Module) -> dict[str, str]:
    """Return the defaults of a class's arguments, as its source has them, by name."""
    (init,) = (node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    pairs = [
        *zip(init.args.args[::-1], init.args.defaults[::-1]),
        *zip(init.args.kwonlyargs, init.args.kw_defaults),
    ]
    return {argument.arg: f"={_value(default, tree)}" for argument, default in pairs if default is not None}


def _value(default: ast.expr, tree: ast.Module) -> str:
    """Return a default in Python; the value of a constant in the place of its name, though another file gives it."""
    if not isinstance(default, ast.Name):
        return ast.unparse(default)
    for node in tree.body:
        if isinstance(node, ast.Assign) and default.id in {ast.unparse(target) for target in node.targets}:
            return _value(node.value, tree)
        if isinstance(node, ast.ImportFrom) and node.module and default.id in {alias.name for alias in node.names}:
            return _value(default, _read(f"{node.module.replace('.', '/')}.py"))
    return default.id


def _read(path: str) -> ast.Module:
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
