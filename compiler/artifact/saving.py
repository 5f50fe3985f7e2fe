"""Writing a compiled model into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.limits import DEFAULT, Limits
from ...dsl.program import Body, Program
from ...dsl.source import Source, Span
from ..api import read_text
from ..graph import ordered
from ..optimize.interface import Pass
from ..optimize.pipelines import Asked, pipeline
from ..optimize.rebuilding import roots
from ..sources import Project
from .manifest import NAME, Manifest, QuantizedWeights, Versions, digest, file_digest, text_digest

if TYPE_CHECKING:
    from ..runtime.extern import Allowed
    from ..runtime.model import Model
    from ..runtime.weights import Weights


class Recorder:
    """Reads what a file imports from beside it, and keeps it by its path below the file's folder."""

    def __init__(self, source: Source, folders: Sequence[str | PathLike[str]], limits: Limits) -> None:
        self.project = Project.of(source, folders, limits)
        self.root = Path(source.name).parent
        self.files = {Path(source.name).name: source.text}

    def __call__(self, source: Source, module: tuple[str, ...]) -> Source | Diagnostic | None:
        found = self.project(source, module)
        if isinstance(found, Source):
            self.files[Path(found.name).relative_to(self.root).as_posix()] = found.text
        return found


def write_artifact(
    spec: str | PathLike[str] | Source,
    folder: str | PathLike[str],
    params: Mapping[str, str] | None = None,
    *,
    preset: str | None = None,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    weights: Weights | None = None,
    dtype: str = "float32",
    optimize: Asked = "none",
    seed: int = 0,
    extern: Allowed = None,
    limits: Limits = DEFAULT,
    folders: Sequence[str | PathLike[str]] = (),
) -> Manifest:
    """Compile a file and write what `load` needs to make it again without it; without `weights` they are random ones of the `seed`.

    `params` are expressions, as on the command line.  The weights are written first, under a name of their own; the manifest, which names
    them, replaces an older one at once.  Raises Failure for what is wrong in the text or the weights, ValueError for wrong arguments,
    OSError where nothing can be written.
    """
    import torch

    from ..check import check_text
    from ..runtime.compiling import compile_program

    source = spec if isinstance(spec, Source) else read_text(spec, limits)
    recorder = Recorder(source, folders, limits)
    result = check_text(source, params, preset, model, limits=limits, beside=recorder)
    if not result.ok:
        raise Failure(result.diagnostics)
    if len(result.programs) != 1:
        raise ValueError(f"`{source.name}` holds {len(result.programs)} models{': name one of them' if result.programs else ''}")
    program = next(iter(result.programs.values()))
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType] - untyped in torch
    made = compile_program(program, tasks=tasks, weights=weights, dtype=dtype, extern=extern, optimize=optimize)
    return _written(made, program, recorder, Path(folder), dict(params or {}), tasks, dtype, optimize)


def _written(
    made: Model, program: Program, recorder: Recorder, folder: Path, params: dict[str, str], tasks: Sequence[str] | None, dtype: str, asked: Asked
) -> Manifest:
    import torch

    from ... import __version__
    from ..runtime.saving import write_tensors
    from ..writing import write_file

    quantization = [QuantizedWeights(**row) for row in json.loads(made.quantized.json())]
    if quantization:
        made.drop_folded()
    folder.mkdir(parents=True, exist_ok=True)
    older = _weights_of(folder)
    new = write_tensors(folder / "weights-new.safetensors", made.state_dict())
    sum_ = file_digest(new)
    final = new.replace(folder / f"weights-{sum_[:12]}.safetensors")
    manifest = Manifest(
        versions=Versions(archloom=__version__, torch=torch.__version__),
        model=program.name,
        spec=next(iter(recorder.files)),
        files=recorder.files,
        digest=digest(recorder.files),
        library=library_files(program),
        parameters=params,
        preset=program.preset,
        tasks=list(tasks) if tasks else None,
        dtype=dtype,  # pyright: ignore[reportArgumentType] - pydantic checks it
        passes=[spelt(each) for each in pipeline(asked)],
        names={map_.name: {rule.target: list(rule.names) for rule in map_.rules} for map_ in program.weights.values()},
        quantization=quantization,
        weights=final.name,
        weights_digest=sum_,
    )
    write_file(folder / NAME, (manifest.model_dump_json(indent=2) + "\n").encode())
    if older is not None and older != final.name:
        (folder / older).unlink(missing_ok=True)
    return manifest


def _weights_of(folder: Path) -> str | None:
    """Return the file of weights of a model that is in the folder already: it goes when another takes its place."""
    from .manifest import read_manifest

    try:
        name = read_manifest(folder).weights
    except Failure:
        return None
    return name if Path(name).name == name else None


def library_files(program: Program) -> dict[str, str]:
    """Return the digests of the library's files that a program uses, by name."""
    from ..check import library

    used = {source.name: source for body in ordered(roots(program)) for source in _sources(body)}
    own = {"/".join(("blocks", *dotted.split("."))) + ".arch" for dotted in library().modules()}
    return {name: text_digest(source.text) for name, source in sorted(used.items()) if name in own}


def _sources(body: Body) -> list[Source]:
    spans: list[Span] = [body.span, *(node.span for node in body.nodes), *(declared.span for declared in body.modules.values())]
    return [span.source for span in spans]


def spelt(each: Pass) -> str:
    """Return a pass as it is asked for, with the options that aren't its defaults.

    >>> from archloom.compiler.passes.fold_parameters import FoldParameters
    >>> spelt(FoldParameters(growth=2))
    'fold_parameters(growth = 2)'
    """
    given = {field.name: getattr(each, field.name) for field in fields(each) if getattr(each, field.name) != field.default}
    options = ", ".join(f"{name} = {value!r}" for name, value in given.items())
    return f"{each.name()}({options})" if options else each.name()
