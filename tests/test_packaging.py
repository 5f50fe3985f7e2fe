"""The project's own files: what is packaged, what is imported when, what the configuration promises."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import archloom

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CODE = ("dsl", "compiler", "blocks")


def test_packages_are_the_folders() -> None:
    folders = {".".join(["archloom", *path.parent.relative_to(ROOT).parts]) for top in CODE for path in (ROOT / top).rglob("__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {"archloom", *folders}


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for top in CODE for path in (ROOT / top).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_only_two_python_files_lie_at_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_every_extra_but_the_base_brings_torch() -> None:
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    brings = {name for name, needs in extras.items() if any(need.startswith("torch>=") for need in needs)}
    grown = True
    while grown:
        reached = {name for name, needs in extras.items() for need in needs if brings & set(re.findall(r"[\w-]+", need.removeprefix("archloom")))}
        grown = not reached <= brings
        brings |= reached
    assert brings == set(extras)


def test_every_dependency_has_a_tested_version() -> None:
    def normal(name: str) -> str:
        return re.split(r"[<>=\[; ]", name)[0].lower().replace("_", "-")

    pinned = {normal(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")}
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    needed = {normal(need) for needs in [PROJECT["project"]["dependencies"], *extras.values()] for need in needs}
    assert needed - pinned == {"archloom", "setuptools"}


def test_public_names_are_loaded_from_their_homes() -> None:
    names = [name for name in dir(archloom) if not name.startswith("_") and name not in ("annotations", "import_module", "TYPE_CHECKING", "Any")]
    for name in names:
        assert getattr(archloom, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'chekc'"):
        _ = archloom.chekc  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - the point of the test


def test_two_routes_to_the_registry_give_one_object() -> None:
    route = importlib.import_module("archloom.blocks.registry")
    other = importlib.import_module("..blocks.registry", "archloom.compiler")
    assert route is other
    assert sys.modules["archloom"] is archloom
    assert [name for name in sys.modules if name.endswith("blocks.registry")] == ["archloom.blocks.registry"]


def imported(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after running `code`."""
    probe = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_importing_the_package_imports_nothing_else() -> None:
    assert not imported("import archloom") & {"torch", "lark", "networkx", "numpy", "pydantic", "click", "rich"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # a copy, since setuptools builds inside the tree and would take up what an earlier build left there
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(folder / "tree")]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packaged = {name for name in names if ".dist-info/" not in name}
    written = {path.relative_to(ROOT) for top in CODE for suffix in ("*.py", "*.arch") for path in (ROOT / top).rglob(suffix)}
    root = {"__init__.py", "__main__.py", "py.typed", "grammar.lark", "grammar.json"}
    assert packaged == {f"archloom/{path}" for path in {*map(str, written), *root}}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_runs_by_itself(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    start = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})"
    code = f"{start}; import archloom, archloom.__main__ as m; print(archloom.__file__); sys.argv[1:] = "
    for arguments in (["new", "first"], ["check", "first.arch"], ["fmt", "--check", "first.arch"]):
        result = subprocess.run([sys.executable, "-c", f"{code}{arguments!r}; m.main()"], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.startswith(str(tmp_path / "site"))
