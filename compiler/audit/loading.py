"""The function that `archloom audit module:function` names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from ...dsl.diagnostics import closest
from .errors import failure, foreign, own_code
from .subject import Subject, as_subject, takes

AUDITED = "__audited__"
"""The name of a module that is given as a file."""


@contextmanager
def importable(folder: Path) -> Generator[None]:
    """Let modules of a folder be imported, as `python -m` does."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def load(module: str, function: str) -> Subject:
    """Import a module, by name or as a `.py` file, call its function and return the subject that it makes.

    Raises Failure: A560 for what isn't there or can't be imported, A561 for what isn't a subject, A562 if the function fails.
    """
    found = _function(_module(module), module, function)
    if not takes(found, 0):
        help = f"wrap it: `def subject(): return {function}(...)`"
        raise failure("A560", f"`{function}` of `{module}` takes arguments, and an audit gives none", help, module)
    with foreign("A562", f"`{function}`"):
        made = found()
    with own_code():
        return as_subject(made)


def _module(name: str) -> ModuleType:
    if name.endswith(".py"):
        return _file(Path(name))
    try:
        with foreign("A560", f"importing `{name}`"):
            return import_module(name)
    except Exception as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name is not None and f"{name}.".startswith(f"{cause.name}."):
            near = closest(cause.name, [path.stem for path in Path.cwd().iterdir() if path.suffix == ".py" or path.is_dir()])
            help = f"did you mean `{near}`?" if near else "stand in the folder of the module, or name its file: `train.py:subject`"
            raise failure("A560", f"there is no module `{cause.name}`", help, name) from None
        raise


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        near = closest(path.name, [other.name for other in path.parent.glob("*.py")]) if path.parent.is_dir() else None
        raise failure("A560", f"there is no file `{path}`", f"did you mean `{near}`?" if near else None, str(path))
    spec = spec_from_file_location(AUDITED, path)
    if spec is None or spec.loader is None:
        raise failure("A560", f"`{path}` can't be imported", None, str(path))
    module = module_from_spec(spec)
    sys.modules[AUDITED] = module  # dataclasses, for one, look up the module of a class
    with foreign("A560", f"importing `{path}`"):
        spec.loader.exec_module(module)
    return module


def _function(module: ModuleType, name: str, function: str) -> Callable[[], Any]:
    found: Any = getattr(module, function, None)
    if found is None:
        near = closest(function, [key for key, value in vars(module).items() if callable(value)])
        help = f"did you mean `{near}`?" if near else "define it: `def subject(): return {...}`"
        raise failure("A560", f"`{name}` has no `{function}`", help, name)
    if not callable(found) or isinstance(found, nn.Module):
        help = 'wrap it: `def subject(): return {"model": model, "batch": batch}`'
        raise failure("A560", f"`{function}` of `{name}` is a `{type(found).__name__}`, not a function", help, name)
    return found
