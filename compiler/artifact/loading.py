"""Making a compiled model again from its folder."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.record import record
from ...dsl.source import Source
from .manifest import CHANGED, MALFORMED, NAME, Manifest, failure, file_digest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

    from ..runtime.extern import Allowed
    from ..runtime.model import Model
    from ..runtime.rounded import Quantized


@record
class Bundle:
    """The texts of a manifest, as what a text imports from beside it."""

    manifest: Manifest

    def __call__(self, source: Source, module: tuple[str, ...]) -> Source | Diagnostic | None:
        name = PurePosixPath(source.name).parent.joinpath(*module[:-1], f"{module[-1]}.arch").as_posix()
        text = self.manifest.files.get(name)
        return Source(name, text) if text is not None else None


def load(folder: str | PathLike[str], *, device: str | torch.device | None = None, extern: Allowed = None) -> Model:
    """Return the model that `archloom compile` wrote into a folder, with its weights, parameters, tasks and passes; the spec isn't needed.

    `extern` is that of `archloom.compile`.  Raises Failure where the folder holds no compiled model, or one that has changed since.
    """
    from ..check import check_text
    from ..runtime.compiling import compile_program
    from .saving import library_files

    place = Path(folder)
    manifest = read_manifest(place)
    path = _weights(place, manifest)
    source = Source(manifest.spec, manifest.files[manifest.spec])
    result = check_text(source, manifest.parameters, manifest.preset, manifest.model, beside=Bundle(manifest))
    if not result.ok:
        raise Failure(result.diagnostics)
    program = result.programs[manifest.model]
    now = library_files(program)
    changed = [name for name in sorted({*now, *manifest.library}) if now.get(name) != manifest.library.get(name)]
    if changed:
        raise failure(CHANGED, f"the library's `{changed[0]}` is another one than the model was compiled with", "compile the spec again")
    try:
        made = compile_program(program, tasks=manifest.tasks, dtype=manifest.dtype, device="meta", extern=extern, optimize=manifest.passes)
    except ValueError as error:  # for tasks and passes that there aren't
        raise failure(CHANGED, f"`{place}` can't be made again: {error}", "compile the spec again") from None
    if manifest.quantization:
        listed = quantized(manifest)
        if made.quantized.rows != tuple(replace(row, error=None) for row in listed):
            raise failure(CHANGED, f"`quantization` in `{place / NAME}` isn't what the passes quantize", "compile the spec again")
        made.drop_folded(listed)
    return made.materialize(device or "cpu", given=_tensors(made, path))


def quantized(manifest: Manifest) -> Quantized:
    """Return what a manifest lists as quantized."""
    from ..runtime.rounded import Quantized, Rounded

    rows = manifest.quantization
    return Quantized(tuple(Rounded(tuple(row.weights), row.to, row.numbers, tuple(row.stored), row.error) for row in rows))


def _weights(folder: Path, manifest: Manifest) -> Path:
    """Return the file of the weights, which lies in the folder and is what it was."""
    if Path(manifest.weights).name != manifest.weights:
        raise failure(MALFORMED, f"`{folder / NAME}` is no manifest: `weights` is to name a file in its folder, not `{manifest.weights}`", None)
    path = folder / manifest.weights
    try:
        same = file_digest(path) == manifest.weights_digest
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise failure(CHANGED, f"the weights `{path}` can't be read: {why}", "compile the spec again") from None
    if not same:
        raise failure(CHANGED, f"`{path}` isn't the file that the model was compiled with", "compile the spec again")
    return path


def _tensors(made: Model, path: Path) -> dict[str, torch.Tensor]:
    """Read every tensor of a model; raises Failure for a file that holds others."""
    from ..runtime.checkpoint import Checkpoint
    from ..runtime.whole import Whole

    stored = Checkpoint(path)
    wanted = {name: tuple(value.shape) for name, value in made.state_dict().items()}
    wrong = sorted({*wanted} ^ {*stored.stored}) or [name for name, shape in wanted.items() if stored.stored[name].shape != shape]
    if wrong:
        raise failure(CHANGED, f"`{path}` doesn't hold the tensors of `{type(made).__name__}`: look at `{wrong[0]}`", "compile the spec again")
    whole = {f"{name}.value" for name, module in cast("Iterator[tuple[str, nn.Module]]", made.named_modules()) if isinstance(module, Whole)}
    found = {name: stored.read(name) for name in wanted}  # parts of the file, which is in memory as long as one of them is
    return {name: value if name in whole else value.clone() for name, value in found.items()} if whole else found
