"""The pages of errors show the catalogue: what each code means, a text that has it and one that is right."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from archloom.dsl.catalogue import MODULES, Entry, catalogue

FOLDER = Path(__file__).parents[2] / "docs" / "errors"
WRITTEN = "Written by `pytest tests/docs/test_errors.py --update-golden` from `dsl/catalogue`, whose examples the tests run."
ABOUT = {name: (import_module(f"archloom.dsl.catalogue.{name}").__doc__ or "").rstrip(".") for name in MODULES}
"""What the entries of each module are about, in its words: `A0xx, syntax`."""


def entries(module: str) -> list[Entry]:
    return [entry for code, entry in catalogue().items() if int(code[1:]) in MODULES[module]]


def spoken(example: str, python: bool) -> str:
    """Return the language of an example: a line for the shell, Python, or a spec."""
    if example.startswith("archloom "):
        return "sh"
    return "python" if python or example.startswith(("archloom.", "model.", "return ")) else "arch"


def shown(entry: Entry) -> str:
    parts = [f"## {entry.code}", f"**{entry.title}**", entry.meaning]
    for word, example in (("Wrong", entry.wrong), ("Right", entry.right)):
        if example.strip():
            parts += [f"{word}:", f"```{spoken(example, entry.python)}\n{example.strip(chr(10))}\n```"]
    return "\n\n".join(parts)


def page(module: str) -> str:
    head = f"# {ABOUT[module]}\n\n[All codes](README.md). {WRITTEN}"
    return "\n\n".join([head, *map(shown, entries(module))]) + "\n"


def index() -> str:
    parts = ["# Errors and findings", f"`archloom explain CODE` says the same on the command line. {WRITTEN}"]
    for module in MODULES:
        rows = "\n".join(f"- [{entry.code}]({module}.md#{entry.code.lower()}): {entry.title}" for entry in entries(module))
        parts += [f"## [{ABOUT[module]}]({module}.md)", rows]
    return "\n\n".join(parts) + "\n"


PAGES = {"README.md": index(), **{f"{module}.md": page(module) for module in MODULES}}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_its_entries(name: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        (FOLDER / name).write_text(PAGES[name], encoding="utf-8")
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name], "run it with --update-golden and read what it writes"


def test_the_pages_are_all_and_show_each_code_once() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)
    text = "".join(PAGES[f"{module}.md"] for module in MODULES)
    assert sorted(re.findall(r"^## (A\d{3})$", text, re.M)) == list(catalogue())
