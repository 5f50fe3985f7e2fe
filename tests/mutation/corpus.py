# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""The texts that are changed: every block and function of the library with its example, and whole specs."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import archloom
from archloom.blocks.examples import EXAMPLES
from archloom.dsl import ast
from archloom.dsl.catalogue import catalogue
from archloom.dsl.parse.pythonisms import walk
from archloom.dsl.parser import parse
from archloom.dsl.source import Source

from ..examples.sketch_sizes import FOLDER, TINY
from .mutation import Base
from .oracle import Outside, Unknown, Wrong, run_model
from .plans import plans_of
from .reading import read
from .sizes import assignments

LIBRARY = Path(archloom.__file__).parent / "blocks"


def block_text(name: str) -> str:
    """Return an example as one text: what it needs of its library file, then the model around it."""
    file, item = name.rsplit(".", 1)
    example = EXAMPLES[name]
    source = (LIBRARY / f"{file.replace('.', '/')}.arch").read_text(encoding="utf-8")
    trees = [raw.tree for raw in parse(Source(file, source)).items]
    named: dict[str, Any] = {t.name: t for t in trees if t is not None and hasattr(t, "name")}
    wanted, waiting = dict[str, None](), [item, *(part for part in [example.beside] if part and part.rsplit(".", 1)[0] == file)]
    waiting = [w.rsplit(".", 1)[-1] for w in waiting] + re.findall(r"\w+", example.make or "")
    while waiting:
        one = waiting.pop()
        if one in named and one not in wanted:
            wanted[one] = None
            waiting.extend(n.id for n in walk(named[one]) if isinstance(n, ast.Name))
    used = {n.id for one in wanted for n in walk(named[one]) if isinstance(n, ast.Name)}
    imports = [
        f"import {'.'.join(t.module)}.{n.name}{f' as {n.alias}' if n.alias else ''}"
        for t in trees if isinstance(t, ast.Import) for n in t.names if (n.alias or n.name) in used
    ]  # fmt: skip
    beside = [f"import {example.beside}"] if example.beside and example.beside.rsplit(".", 1)[0] != file else []
    model = re.sub(r"(?m)^(arch|import) .*\n", "", example.text(name))
    items = [t.span.text for t in trees if t is not None and getattr(t, "name", None) in wanted]
    return "\n".join(["arch 1", *dict.fromkeys([*imports, *beside]), *items, model])


TEXTS = Path(__file__).parent / "texts"
EXAMPLES_FOLDER = Path(archloom.__file__).parent / "examples"
FENCE = re.compile(r"^```arch\n(.*?)^```", re.DOTALL | re.MULTILINE)


@cache
def whole_specs() -> dict[str, Base]:
    """Return the whole specs: the examples at their small presets, the sketches at tiny sizes, the pages' texts, those of `texts`."""
    found: dict[str, Base] = {}
    for path in sorted(EXAMPLES_FOLDER.glob("*.arch")):
        text = without_goldens(path.read_text(encoding="utf-8"), path.stem)
        trees = [raw.tree for raw in parse(Source(path.stem, text)).items]
        presets = [t for t in trees if isinstance(t, ast.Preset) and t.name in ("small", "tiny", "toy")]
        models = [t.name for t in trees if isinstance(t, ast.Model)]
        model = presets[-1].model if presets else models[-1]
        found[f"examples/{path.stem}"] = Base(
            f"examples/{path.stem}", text, model, EXTRA.get(path.stem, {}), presets[-1].name if presets else None, True
        )
    for name, tiny in TINY.items():
        if name in PYTHON:
            continue
        text = without_goldens((FOLDER / f"{name}.arch").read_text(encoding="utf-8"), name)
        models = [raw.name for raw in parse(Source(name, text)).items if raw.word == "model"]
        found[f"sketches/{name}"] = Base(f"sketches/{name}", text, tiny.model or models[-1], tiny.params, None, True, dims=DIMS.get(name, tiny.dims))
    for page in ("language", "from-pytorch"):
        texts = FENCE.findall((Path(archloom.__file__).parent / "docs" / f"{page}.md").read_text(encoding="utf-8"))
        for number, text in enumerate(texts):
            models = [raw.name for raw in parse(Source(page, text)).items if raw.word == "model"]
            found |= _spec(f"docs/{page}-{number}", text)
    for code, entry in catalogue().items():
        found |= _spec(f"errors/{code}", entry.right) if not entry.python else {}
    for path in sorted(TEXTS.glob("*.arch")):
        found |= _spec(f"texts/{path.stem}", path.read_text(encoding="utf-8"))
    return found


def _spec(name: str, text: str) -> dict[str, Base]:
    """Return a text with a model as a whole spec, under its name; nothing for one that needs Python."""
    text = without_goldens(text, name)
    models = [raw.name for raw in parse(Source(name, text)).items if raw.word == "model"]
    return {name: Base(name, text, str(models[-1]), whole=True)} if models and "extern" not in text else {}


PYTHON = {"kmax_deeplab", "switch_dit"}
"""Sketches that are left out: they need Python of their own."""

DIMS = {"pagcp": {"H": 32, "W": 32}}
"""Sizes near which a sketch is tried, where it runs at few others."""

EXTRA: dict[str, dict[str, Any]] = {
    "minilm": {"vocab": 11, "dim": 8, "depth": 2, "heads": 2, "ffn": 12},
    "minilm_tasks": {"vocab": 11, "dim": 8, "depth": 2, "heads": 2, "ffn": 12},
}


def without_goldens(text: str, name: str) -> str:
    """Return a text without its golden files' clauses, which say how stored references are read."""
    spans = [t.span for raw in parse(Source(name, text)).items if isinstance(t := raw.tree, ast.Golden)]
    for span in reversed(spans):
        text = text[: span.start] + text[span.end :]
    return text


def settled(base: Base) -> Base:
    """Find sizes at which a text runs, and note where the runs come by."""
    base.read()
    source = Source(base.name, base.text)
    file, params = read(source, known=False), {**base.params, **plans_of(source, base.model).preset(base.preset)}
    spans: set[tuple[str, int, int]] = set()
    last: Exception | None = None
    for tried, sizes in enumerate(assignments(base.name, base.dims, base.whole)):
        if len(base.sizes) == 3:
            break
        if tried == 60:
            raise AssertionError(f"{base.name} runs nowhere: {last}")
        try:
            for training in (False, True):
                ran, _, _ = run_model(file, base.model, sizes, training, params, spans)
                base.modal |= ran.modal
            base.sizes.append(sizes)
        except (Wrong, Outside) as error:
            last = error
        except Unknown as unknown:
            raise AssertionError(f"{base.name}: {unknown}") from None
    base.ran = {(start, end) for name, start, end in spans if name == base.name}
    return base


def names() -> list[str]:
    return [*EXAMPLES, *whole_specs()]


def base_of(name: str) -> Base:
    """Return the text of a name, with sizes at which it runs."""
    return settled(Base(name, block_text(name), "Example") if name in EXAMPLES else replace(whole_specs()[name]))


settle = cache(base_of)
