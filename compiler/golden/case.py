"""A folder of reference tensors: a configuration, weights under their official names, inputs, outputs, gradients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.record import record
from ...dsl.source import Source, Span
from ..runtime.checkpoint import Checkpoint

MOST_BYTES = 1 << 20
"""How long a configuration may be."""


@record
class Case:
    """What one folder holds; there are no gradients where nothing was differentiated."""

    folder: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """The last two parts of the folder: system and case."""
        return "/".join(self.folder.resolve().parts[-2:])

    @property
    def cotangents(self) -> dict[str, Tensor]:
        """What each differentiated output is multiplied with, by the output's name."""
        return {name.removeprefix("cotangent."): value for name, value in self.inputs.items() if name.startswith("cotangent.")}


def read_case(folder: str | PathLike[str]) -> Case:
    """Read a folder; raises Failure with all that is missing or broken in it."""
    place = Path(folder)
    failures: list[Diagnostic] = []
    if not place.is_dir():
        raise Failure((_problem(place, f"there is no folder `{place}`", "name the folder that holds the case's config.json"),))
    config = _config(place / "config.json", failures)
    found: dict[str, Mapping[str, Tensor]] = {}
    for name in ("weights", "inputs", "outputs", "grads"):
        file = place / f"{name}.safetensors"
        if name == "grads" and not file.exists():
            continue
        try:
            checkpoint = Checkpoint(file)
            found[name] = {stored: checkpoint.read(stored) for stored in checkpoint.stored}
        except Failure as failure:
            failures.extend(failure.diagnostics)
    if failures:
        raise Failure(tuple(failures))
    case = Case(place, config, found["weights"], found["inputs"], found["outputs"], found.get("grads", {}))
    if case.gradients and not case.cotangents:
        message = f"`{place / 'grads.safetensors'}` stores gradients, and `inputs.safetensors` no `cotangent.NAME` of an output"
        raise Failure((_problem(place, message, "store what each differentiated output was multiplied with"),))
    for name, value in case.cotangents.items():
        if name in case.outputs and case.outputs[name].shape != value.shape:
            message = f"`cotangent.{name}` is {list(value.shape)}, and the output `{name}` is {list(case.outputs[name].shape)}"
            raise Failure((_problem(place, message, "store a cotangent of the output's shape"),))
    return case


def _config(path: Path, failures: list[Diagnostic]) -> Mapping[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES:,} bytes")
        content: Any = json.loads(path.read_bytes(), parse_constant=_refused)
    except (OSError, ValueError, RecursionError) as error:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else f"it is no JSON: {error}"
        failures.append(_problem(path, f"`{path}` can't be read: {reason}", "a case says its hyper-parameters there, as a JSON object"))
        return {}
    if not isinstance(content, dict):
        failures.append(_problem(path, f"`{path}` holds no JSON object", "write the case's hyper-parameters by name"))
        return {}
    return cast("Mapping[str, Any]", content)


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")


def _problem(path: Path, message: str, help: str) -> Diagnostic:
    return Diagnostic("A662", message, Span(Source(str(path), ""), 0, 0), help=help)
