"""The packages that a release is: files that are in them, extras that errors and pages name, and what is declared."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

if sys.version_info < (3, 11):
    pytest.skip("Python 3.10 does not tell which package brings a module", allow_module_level=True)

import tomllib

HOME = Path(__file__).parents[1]
LIBRARY = HOME / "streaming_metrics"
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
OWN = PROJECT["name"]
PACKAGES = packages_distributions()
OF_USERS = {"omegaconf"}
"""Packages whose objects are taken where a user has them; nothing of them is imported before."""


def brought_by(requirements: list[str]) -> set[str]:
    """Return the names of packages that requirements bring, those of extras of this library among them."""
    names: set[str] = set()
    for requirement in requirements:
        found = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement)
        assert found
        if found[1] == OWN:
            names |= {name for extra in found[2].split(",") for name in brought_by(EXTRAS[extra])}
        else:
            names.add(normal(found[1]))
    return names


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_by(path: Path) -> set[str]:
    """Return the names of packages, not of Python nor of this library, that a file imports when it is run."""
    tree = ast.parse(path.read_text())
    for_types = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    skipped = {id(inner) for outer in for_types for inner in ast.walk(outer)}
    modules: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "package_of":
            modules |= {first.value for first in node.args[:1] if isinstance(first, ast.Constant)}
    roots = {module.partition(".")[0] for module in modules} - {*sys.stdlib_module_names} - {"streaming_metrics"}
    return {normal(PACKAGES.get(root, [root])[0]) for root in roots - OF_USERS}


FILES = sorted(LIBRARY.rglob("*.py"))
IMPORTED = {str(path.relative_to(HOME)): imported_by(path) for path in FILES}
CORE = brought_by(PROJECT["dependencies"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this tree, made by setuptools away from it."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(HOME / name, folder)
    for name in ("streaming_metrics", "tests"):
        shutil.copytree(HOME / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from setuptools.build_meta import build_sdist, build_wheel; build_sdist('dist'); build_wheel('dist')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, check=True)
    return folder / "dist"


def test_the_wheel_holds_every_file_of_the_library_and_the_licence(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {*archive.namelist()}
    files = {path.relative_to(HOME).as_posix() for path in LIBRARY.rglob("*") if path.is_file()}
    library = {name for name in files if "__pycache__" not in name}
    assert {name for name in held if ".dist-info/" not in name} == library
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_the_sdist_holds_the_library_and_not_some_of_the_tests(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "streaming_metrics/py.typed"} <= held
    assert not {name for name in held if name.startswith(("tests", "benchmarks", "docs", "build"))}


def test_extras_that_are_named_exist() -> None:
    pages = [HOME / "README.md", HOME / "CONTRIBUTING.md", *(HOME / "docs").rglob("*.md")]
    for path in [*FILES, *pages, *(HOME / "examples").glob("*.py")]:
        for extras in re.findall(rf'(?:{OWN}|"\.)\[([\w,-]+)\]', path.read_text()):
            assert {*extras.split(",")} <= {*EXTRAS}, path


def test_what_the_library_imports_is_declared() -> None:
    declared = CORE | {name for extra in EXTRAS for name in brought_by(EXTRAS[extra])}
    lacking = {path: names - declared for path, names in IMPORTED.items() if names - declared}
    assert not lacking


@pytest.mark.parametrize("path", [path for path in IMPORTED if f"{OWN}[" in (HOME / path).read_text()])
def test_an_error_names_the_extra_that_brings_what_is_missing(path: str) -> None:
    named = {
        name for names in re.findall(rf"{OWN}\[([\w,-]+)\]", (HOME / path).read_text()) for name in names.split(",")
    }
    brought = {name for extra in named for name in brought_by(EXTRAS[extra])}
    assert IMPORTED[path] - CORE <= brought


def test_the_demo_imports_what_its_extra_brings() -> None:
    demo = CORE | brought_by(EXTRAS["demo"])
    assert {name for path, names in IMPORTED.items() if "/demo/" in path for name in names} <= demo
