"""The manifest of a compiled model: everything but its weights."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ...dsl.diagnostics import Diagnostic, Failure
from ...dsl.source import NOWHERE

NAME = "manifest.json"
ABSENT, MALFORMED, CHANGED = "A831", "A832", "A833"


FORMAT = 1


class Dated(BaseModel):
    """What every manifest has, of whatever format."""

    format: int = FORMAT


class Versions(BaseModel):
    """What the model was compiled with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    archloom: str
    torch: str


class QuantizedWeights(BaseModel):
    """Weights that were quantized together: their paths, to what, how many numbers, the names of what stands in their place, and the error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: list[str]
    to: str
    numbers: int
    stored: list[str]
    error: float | None


class Manifest(BaseModel):
    """What a folder holds: the texts that say what the model is, how it was compiled, and the file of its tensors.

    `files` are the text and what it imports from beside it, by name relative to its folder; `spec` is the first of them.  `library` holds
    the digests of the library's files that it uses.  `passes` are written as they are asked for.  `names` gives, for each weights map
    of the text, the stored names behind each tensor.  `quantization` lists the weights in whose place others are stored; where there are
    some, what passes have folded is stored, and the parameters that nothing else reads are not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    versions: Versions
    model: str
    spec: str
    files: dict[str, str]
    digest: str
    library: dict[str, str]
    parameters: dict[str, str]
    preset: str | None
    tasks: list[str] | None
    dtype: Literal["float16", "bfloat16", "float32", "float64"]
    passes: list[str]
    names: dict[str, dict[str, list[str]]]
    quantization: list[QuantizedWeights]
    weights: str
    weights_digest: str


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return sha256(text.encode()).hexdigest()


def digest(texts: dict[str, str]) -> str:
    """Return the SHA-256 of texts by name."""
    return text_digest(json.dumps(sorted(texts.items()), ensure_ascii=False))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    found = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder; raises Failure where there is none, or it isn't one, or its texts aren't what they were."""
    path = folder / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise failure(ABSENT, f"`{folder}` holds no compiled model: there is no `{NAME}`", "`archloom compile SPEC -o DIR` writes one") from None
    except UnicodeDecodeError:
        raise failure(MALFORMED, f"`{path}` is no manifest: it is no text", "compile the spec again") from None
    except OSError as error:
        raise failure(MALFORMED, f"`{path}` can't be read: {(error.strerror or str(error)).lower()}", None) from None
    try:
        newer = Dated.model_validate_json(text).format
        if newer > FORMAT:
            help = "take the archloom that wrote it, or a newer one, or compile the spec again; `versions` in it says which"
            raise failure(MALFORMED, f"`{path}` is of format {newer}, and this archloom reads {FORMAT}", help)
        found = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise failure(MALFORMED, f"`{path}` is no manifest: {place}: {first['msg'].lower()}", "compile the spec again") from None
    if found.spec not in found.files or digest(found.files) != found.digest:
        raise failure(CHANGED, f"the texts in `{path}` aren't those that the model was compiled from", "compile the changed spec again")
    return found


def failure(code: str, message: str, help: str | None) -> Failure:
    """Return what to raise for something that is wrong with a folder."""
    return Failure((Diagnostic(code, message, NOWHERE, help=help),))
