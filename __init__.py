"""Say what a multi-task or multimodal network is in one `.arch` file; check it without torch, compile it to a module.

Every public name is loaded when it is first used, so that `import archloom` costs nothing and brings no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler.api import compile as compile
    from .compiler.api import load_program as load_program
    from .compiler.artifact.loading import load as load
    from .compiler.audit.report import Audit as Audit
    from .compiler.audit.run import audit as audit
    from .compiler.audit.subject import Subject as Subject
    from .compiler.check import check as check
    from .compiler.draw.drawing import Drawing as Drawing
    from .compiler.draw.drawing import draw as draw
    from .compiler.golden.verify import Report as Report
    from .compiler.golden.verify import verify as verify
    from .compiler.quantizing.run import quantize as quantize
    from .compiler.quantizing.search import Found as Found
    from .compiler.runtime.errors import InputError as InputError
    from .compiler.runtime.errors import ModelError as ModelError
    from .compiler.runtime.routing import by_task as by_task
    from .compiler.runtime.sampling import Choice as Choice
    from .compiler.runtime.sampling import sample as sample
    from .dsl.diagnostics import Diagnostic as Diagnostic
    from .dsl.diagnostics import Failure as Failure

__version__ = "0.1.0"

_HOMES = {
    "compile": "compiler.api",
    "load_program": "compiler.api",
    "load": "compiler.artifact.loading",
    "audit": "compiler.audit.run",
    "Audit": "compiler.audit.report",
    "Subject": "compiler.audit.subject",
    "check": "compiler.check",
    "draw": "compiler.draw.drawing",
    "Drawing": "compiler.draw.drawing",
    "verify": "compiler.golden.verify",
    "Report": "compiler.golden.verify",
    "quantize": "compiler.quantizing.run",
    "Found": "compiler.quantizing.search",
    "InputError": "compiler.runtime.errors",
    "ModelError": "compiler.runtime.errors",
    "by_task": "compiler.runtime.routing",
    "sample": "compiler.runtime.sampling",
    "Choice": "compiler.runtime.sampling",
    "Diagnostic": "dsl.diagnostics",
    "Failure": "dsl.diagnostics",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *_HOMES})
