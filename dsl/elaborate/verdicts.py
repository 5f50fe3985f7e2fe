"""What the presets of a model come to, kept by the process from one check to the next.

Nothing in it names a place of the text: counts, and that nothing was said.  So it holds for every text with the same words, wherever they
stand, whatever is said beside them in comments, weights maps and stages.  Where something is said of a preset, or a claim is left
open, all presets of the model are elaborated the next time, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from .. import ast
from ..program import Program
from ..record import record
from ..source import Source
from .context import Context
from .files import NAMED, File

Key = tuple[object, ...]

MOST = 64
"""Of so many models and texts it is kept; then all is forgotten."""

WORDS = re.compile(r'"""(?s:.*?)"""|"(?:\\.|[^"\\\n])*"|#[^\n]*|\n|[^\s#"]+|"')
"""What a text is made of: strings, comments, line ends and all else between spaces."""


@record
class Verdict:
    """What each preset counts, and what their elaboration does to a check besides."""

    counts: Mapping[str, Mapping[str, int]]
    steps: int
    nodes: int
    reached: frozenset[tuple[str, str | None]]  # the items of the file that it elaborates, by word and name
    sources: tuple[Source, ...]  # the library files that names lead to, in order


_kept: dict[Key, Verdict] = {}


def forget() -> None:
    """Forget all verdicts."""
    _kept.clear()


def key_of(model: str, presets: Sequence[ast.Preset], file: File, context: Context) -> Key | None:
    """Return what the verdict on the presets of a model hangs on; None where files beside this one have a part in it."""
    if any(statement.local for statement, _ in file.imports.values()):
        return None
    said = tuple(item.span.text for item in file.parsed.items if item.word in NAMED or item.word in ("import", "arch"))
    return (model, tuple(preset.span.text for preset in presets), tuple(map(_words, said)), context.limits, context.library)


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a text without comments, and of line ends one where there are several."""
    words: list[str] = []
    for word in WORDS.findall(text):
        if word[0] != "#" and not (word == "\n" and words[-1:] == ["\n"]):
            words.append(word)
    return tuple(words)


def recall(key: Key | None, file: File, context: Context) -> Verdict | None:
    """Return an earlier verdict, and take over what its elaboration does to a check: its steps are counted, its files opened."""
    found = _kept.get(key) if key is not None else None
    files, spent, limits = context.files, context.spent, context.limits
    if found is None or spent.steps + found.steps > limits.steps or spent.nodes + found.nodes > limits.operations:
        return None
    for source in found.sources:
        files.open(source, local=False)
    files.reached.update(id(files.tree(item)) for item in file.parsed.items if (item.word, item.name) in found.reached)
    spent.steps += found.steps
    spent.nodes += found.nodes
    spent.recalled = True
    return found


class Watch:
    """Watches what the elaboration of presets does to a check."""

    def __init__(self, file: File, context: Context) -> None:
        self.file, self.context = file, context
        self.before = self._state()
        self.steps, self.nodes, self.reached = context.spent.steps, context.spent.nodes, set(context.files.reached)
        self.followed, context.files.followed = context.files.followed, dict[str, Source]()

    def _state(self) -> tuple[int, ...]:
        findings = self.context.files.findings
        return len(self.context.diagnostics), len(findings.all), findings.errors

    def end(self, key: Key | None, program: Program, names: Iterable[str]) -> None:
        """Keep what the presets came to, if nothing was said of them and no claim is open."""
        files, spent = self.context.files, self.context.spent
        sources, files.followed = files.followed, self.followed
        files.followed.update(sources)
        if key is None or self._state() != self.before or program.open_in_presets or not all(name in program.presets for name in names):
            return
        if len(_kept) >= MOST:
            _kept.clear()
        new = files.reached - self.reached
        reached = frozenset((item.word, item.name) for item in self.file.parsed.items if id(files.tree(item)) in new)
        counts = {name: dict(counted) for name, counted in program.presets.items()}
        _kept[key] = Verdict(counts, spent.steps - self.steps, spent.nodes - self.nodes, reached, tuple(sources.values()))
