"""Files and what their names stand for: local items, imports, library files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

from .. import ast
from ..diagnostics import Diagnostic
from ..findings import Findings
from ..limits import Limits, exceeded
from ..parse.pythonisms import walk
from ..parser import ParsedFile, RawItem, parse
from ..primitive import Library
from ..source import Source, Span
from .context import Poisoned, Problem, Spent, fail, suggest

NAMED = ("block", "model", "fn", "extern block", "extern fn", "definition", "transform")
"""Words of the items that give a name to the file's other items; `weights`, `train` and the like are found by their model."""

WORD = re.compile(r"[A-Za-z_]\w*|\*(?=[ \t;]*$)")

EDITIONS = (1,)
"""Editions of the language that are read; without a first line `arch N` a file is of the newest."""

T = TypeVar("T")
R = TypeVar("R")

Loader = Callable[[Source, tuple[str, ...]], Source | Diagnostic | None]
"""Finds the file beside a source (`import .mine.Thing`), or says why it isn't read; None if there is none."""


@dataclass(slots=True, eq=False)
class File:
    """One parsed file; items are parsed when they are first used."""

    parsed: ParsedFile
    local: bool
    items: dict[str, RawItem] = field(default_factory=dict[str, RawItem])
    imports: dict[str, tuple[ast.Import, ast.ImportName]] = field(default_factory=dict[str, tuple[ast.Import, ast.ImportName]])
    lost: set[str] = field(default_factory=set[str])
    """Names that items which don't parse may have been meant to bring, as `from norm import RMSNorm`; `*` is any."""

    @property
    def name(self) -> str:
        return self.parsed.source.name

    def brings(self, name: str) -> bool:
        """Tell whether a name may be that of an item which doesn't parse, so that its use is no error of its own."""
        return name in self.lost or "*" in self.lost

    def models(self) -> list[str]:
        """Return the names of its models, of those with errors too."""
        return list(dict.fromkeys(item.name for item in self.parsed.items if item.word == "model" and item.name is not None))


@lru_cache(maxsize=256)
def _library_file(source: Source) -> ParsedFile:
    """Parse a library's file once for all elaborations: the library hands out the same source each time."""
    return parse(source)


class Files:
    """All files of one elaboration, each parsed once."""

    def __init__(self, library: Library, beside: Loader, limits: Limits | None = None) -> None:
        self.library = library
        self.beside = beside
        self.limits = limits or Limits()
        self.findings = Findings(self.limits)
        self.spent = Spent()  # by all that is elaborated of these files
        self.opened: dict[str, File] = {}
        self.checked: dict[int, ast.Item | None] = {}
        self.arms: dict[int, object] = {}  # by their id: the trees of arms that aren't taken whose names were looked at
        self.reached: set[int] = set()  # the trees whose elaboration began
        self._said: dict[tuple[Any, int], tuple[object, Any]] = {}  # what trees say by themselves, by the question
        self.followed: dict[str, Source] = {}  # library files that names led to, since someone began to ask

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep a finding; with one error too many nothing more is elaborated."""
        self.findings.add(diagnostic)
        if self.findings.full:
            self.spent.exhausted = True

    def open(self, source: Source, local: bool = True) -> File:
        """Return the file of a source, its names and imports known."""
        if not local:
            self.followed[source.name] = source
        found = self.opened.get(source.name)
        if found is not None and found.parsed.source.text == source.text:
            return found
        if len(self.opened) >= self.limits.imports:
            message = f"more than {self.limits.imports} files are imported"
            raise Problem(exceeded("imports", message, Span(source, 0, 0), "import fewer files", "A816"))
        file = File(parse(source, self.limits) if local else _library_file(source), local)
        self.opened[source.name] = file
        if file.parsed.fault is not None:
            self.report(file.parsed.fault)
        for place, item in enumerate(file.parsed.items):
            if self.spent.exhausted:
                raise Poisoned
            if item.word == "arch":
                self._edition(item, place)
            self._enter(file, item)
        return file

    def _edition(self, item: RawItem, place: int) -> None:
        tree = self.tree(item)
        if place > 0:
            self.report(Diagnostic("A817", "the edition stands below other items", item.span, help="`arch 1` is the first line of a file"))
        elif isinstance(tree, ast.Edition) and tree.number not in EDITIONS:
            help = f"this version reads {', '.join(f'`arch {n}`' for n in EDITIONS)}: a newer one may read it"
            self.report(Diagnostic("A817", f"there is no edition {tree.number}", item.span, help=help))

    def once(self, question: Callable[[T], R], tree: T) -> R:
        """Return what a function says of a tree alone; it is asked once, however often the tree is elaborated."""
        key = (question, id(tree))
        found = self._said.get(key)
        if found is None:
            found = self._said[key] = (tree, question(tree))  # a tree's id is its own as long as it lives
        return found[1]

    def is_local(self, source: Source) -> bool:
        """Say whether a source is the user's own, not the library's."""
        file = self.opened.get(source.name)
        return file is None or file.local

    def _enter(self, file: File, item: RawItem) -> None:
        if item.word in ("import", ""):
            tree = self.tree(item)
            if tree is None and item.tree is None:
                file.lost.update(WORD.findall(item.span.text.split("\n", 1)[0]))
            if isinstance(tree, ast.Import):
                for name in tree.names:
                    file.imports[name.alias or name.name] = (tree, name)
        elif item.word in NAMED and item.name is not None:
            self._case(item, item.name)
            earlier = file.items.get(item.name)
            if earlier is not None:
                self.report(
                    Diagnostic(
                        "A101",
                        f"`{item.name}` is defined twice in this file",
                        item.span,
                        help=f"rename one (the first is on line {earlier.span.line})",
                    )
                )
            else:
                file.items[item.name] = item

    def _case(self, item: RawItem, name: str) -> None:
        """Report a block that starts with a small letter, and a function that starts with a capital."""
        capital = item.word in ("block", "model", "extern block", "transform")
        if item.word != "definition" and name[0].isupper() is not capital:
            better = name[0].upper() + name[1:] if capital else name[0].lower() + name[1:]
            rule = "begins with a capital" if capital else "begins with a small letter"
            self.report(Diagnostic("A114", f"the name of a `{item.word}` {rule}, not `{name}`", item.span, help=f"call it `{better}`"))

    def tree(self, item: RawItem) -> ast.Item | None:
        """Return the tree of an item; with syntax errors (reported once) what is left of it, None where nothing is or with Pythonisms."""
        if id(item) not in self.checked:
            tree = item.tree
            found = item.diagnostics if tree is None else item.habits or item.idle
            for diagnostic in found:
                self.report(diagnostic)
            self.checked[id(item)] = item.recovered[0] if tree is None else None if found else tree
        return self.checked[id(item)]

    def sound(self, item: RawItem) -> ast.Item | None:
        """Return the tree of an item for what uses it: None if a statement that doesn't parse may declare something."""
        tree = self.tree(item)
        if tree is not None and item.tree is None and any(isinstance(n, ast.Broken) and not n.is_assignment for n in walk(tree)):
            return None
        return tree

    def find(self, file: File, name: str, trail: tuple[str, ...] = ()) -> tuple[File, ast.Item] | None:
        """Return the item that `name` stands for at the top level of `file`, following imports; None if there is none."""
        item = file.items.get(name)
        if item is not None:
            tree = self.sound(item)
            if tree is None:
                raise Poisoned  # its errors are reported: what uses it says nothing more
            return file, tree
        entry = file.imports.get(name)
        if entry is None:
            return None
        statement, imported = entry
        module = self._module(file, statement)
        if module.name in trail:
            fail("A814", f"`{imported.name}` is imported in a circle", imported.span, "move the shared blocks to a file of their own")
        found = self.find(module, imported.name, (*trail, file.name))
        if found is None and imported.name not in module.items and self.library.primitive(imported.name) is None:
            where = ".".join(statement.module)
            fail(
                "A103",
                f"there is no `{imported.name}` in `{where}`",
                imported.span,
                suggest(imported.name, [*module.items, *module.imports], f"`{where}` has {', '.join(f'`{n}`' for n in sorted(module.items)[:8])}"),
            )
        return found

    def _module(self, file: File, statement: ast.Import) -> File:
        dotted = ".".join(statement.module)
        if statement.local:
            source = self.beside(file.parsed.source, statement.module)
            if source is None:
                fail(
                    "A812",
                    f"there is no file `{'/'.join(statement.module)}.arch` beside `{file.name}`",
                    statement.span,
                    "check the name after the dot",
                )
            if isinstance(source, Diagnostic):
                raise Problem(replace(source, span=statement.span))
            return self.open(source)
        source = self.library.load(statement.module)
        if source is None:
            fail(
                "A813",
                f"there is no library file `{dotted}`",
                statement.span,
                suggest(dotted, self.library.modules(), f"a file beside this one is imported with a dot: `import .{dotted}...`"),
            )
        return self.open(source, local=False)

    def check_imports(self, file: File) -> None:
        """Report the imports of a file that lead nowhere."""
        for name in file.imports:
            if self.spent.exhausted:
                raise Poisoned
            try:
                self.find(file, name)
            except Problem as problem:
                self.report(problem.diagnostic)
            except Poisoned:
                continue
