"""The grammar itself: no conflicts, tables up to date, a builder for each rule, soft words usable as names, Python's precedence."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import interegular
import pytest
from lark import Lark
from lark.utils import TextSlice

from archloom.dsl import ast
from archloom.dsl.parse import vocabulary
from archloom.dsl.parse.engine import GRAMMAR, HARD_WORDS, STARTS, TABLES, Newlines, build, engine
from archloom.dsl.parse.items import Builder
from archloom.dsl.parse.operators import LEVELS, NOT, UNARY
from archloom.dsl.parse.straight import STUCK
from archloom.dsl.parser import parse, parse_expression
from archloom.dsl.source import Source
from archloom.dsl.tables import tables


@cache
def built() -> Lark:
    """Return the parser of the grammar as it is now; building it takes most of a second."""
    return build(STARTS)


@cache
def compared() -> interegular.Comparator:
    return interegular.Comparator.from_regexes({t.name: t.pattern.to_regexp() for t in built().terminals})


@pytest.mark.parametrize("start", [STARTS, ["file"]], ids=["items", "file"])
def test_the_grammar_builds_strictly(start: list[str]) -> None:
    assert len(build(start, strict=True).rules) > 400


@pytest.mark.slow
def test_strictness_is_alive() -> None:
    # The collision check silently passes over patterns that it can't read: there must be none.
    parser, comparator = built(), compared()
    assert [t.name for t in parser.terminals if comparator.get_fsm(t.name) is None] == []


@pytest.mark.slow
def test_no_state_must_choose_between_two_readings_of_a_text() -> None:
    # Priorities would hide such a choice from the strict check.  A soft word against a name is the one that is meant.
    parser, comparator = built(), compared()
    known = {t.name for t in parser.terminals} - {"NAME"}
    always = {*parser.ignore_tokens, *Newlines.always_accept}
    states = json.loads(TABLES.read_text("utf-8"))["data"]["parser"]["parser"]
    pairs: set[tuple[str, str]] = set()
    for actions in states["states"].values():
        accepted = sorted(({states["tokens"][token] for token in actions} & known) | always)
        pairs.update((a, b) for i, a in enumerate(accepted) for b in accepted[i + 1 :])
    assert len(pairs) > 500
    assert [pair for pair in sorted(pairs) if not comparator.isdisjoint(*pair)] == []


def test_the_tables_are_those_of_the_grammar() -> None:
    assert tables() == TABLES.read_text("utf-8"), "run `python -m archloom.dsl.tables`"


def test_the_tables_do_not_depend_on_hashes() -> None:
    code = "import hashlib, archloom.dsl.tables as t; print(hashlib.sha256(t.tables().encode()).hexdigest())"
    runs = [subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True) for seed in "17"]
    assert len({run.stdout for run in runs}) == 1


def test_each_rule_has_a_builder() -> None:
    parser = built()
    made = {rule.alias or rule.origin.name for rule in parser.rules if not rule.origin.name.startswith("_")}
    inlined = {"item", "expr", "postfix", "atom", "type"}  # `?rule`: their one child is what they are
    assert sorted(name for name in made - inlined if not hasattr(Builder, name)) == []


def test_each_terminal_has_a_word_for_messages() -> None:
    for terminal in built().terminals:
        said = vocabulary.spelled(terminal.name)
        assert "__" not in said and said not in ("`name`", "`lpar`")


def test_the_comment_on_precedence_says_what_the_table_does() -> None:
    line = next(line for line in GRAMMAR.read_text("utf-8").splitlines() if line.startswith("//     or   and"))
    groups = line.removeprefix("//     ").split("   ")
    said = {op.replace("-in", " in"): level for level, group in enumerate(groups, 1) for op in group.split(" ")}
    assert {op: said[op] for op in LEVELS} == LEVELS
    assert (said["not"], said["-x"], said["~x"]) == (NOT, UNARY, UNARY)


def test_importing_the_parser_stays_light() -> None:
    code = "import sys, archloom.dsl.parser; print(sorted({'torch', 'networkx', 'numpy', 'pydantic', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------------------ soft words

SOFT = sorted({
    word.lower() for word in vocabulary.STATEMENTS | vocabulary.ITEMS
} - HARD_WORDS | {
    "stage", "family", "drop", "host", "param", "value", "mode", "module", "from", "tune", "losses", "weight", "set", "emit", "use", "options",
    "tasks", "as", "at", "with", "carry", "where", "ignores", "uses", "complete", "rest", "eval", "except",
})  # fmt: skip


@pytest.mark.parametrize(
    "template",
    [
        "block B({0}: int = 3) {{ }}",
        "block B {{ {0} = f({0}, {0} = {0}) }}",
        "block B {{ {0}, x = f(x); {0}[t] = {0}[t] }}",
        "block B {{ in {0}: float[B]; out {0} }}",
        "block B {{ out {0} = x; loss {0} = x; index {0} = s; target {0}: int; state {0}: int = 3; draw {0}: int ~ n; update {0} = x }}",
        "block B {{ for {0} in s {{ task {0} {{ }} }} }}",
        "block B {{ repeat {0} in 0..3 carry {0}, x {{ }} }}",
        "block B {{ if {0} {{ }} else {{ }} }}",
        "block B {{ y = [{0} for {0} in s if {0}] }}",
        "block B {{ y = sum({0} for {0} in s where {0}) }}",
        "block B {{ y = x.{0}.{0}[{0}] }}",
        "block B {{ require {0} == 3; assert {0} ignores {0}; freeze {0}; tie {0}, {0}; renamed {0} -> {0} }}",
        "block B {{ y = {{{0}: 1}}; z = {{{0}, b}} }}",
        "block {0} {{ }}",
        "train M {{ stage {0} {{ from {0}; tune {0}; tasks {0}; losses {0}; weight {0} = 1; options {{ {0} = 1 }} }} }}",
        "train M {{ stage {0} {{ set {0} = 1; emit {0} = x; use {0}; use {0} = {0} }} }}",
        "preset {0} for M {{ {0} = 3; assert {0} }}",
        "weights {0} for {0} from {0} {{ {0}[i] <- \"x\" where {0} = {{a: 1}} }}",
        "golden {0} for M {{ param {0} = 3; in {0} <- \"x\"; value {0} -> \"x\"; weights {0}; tasks {0}; mode {0}; assert {0} }}",
        "{0} = 3",
        "import {0}.{0} as {0}",
    ],
)  # fmt: skip
def test_a_soft_word_is_a_name(template: str) -> None:
    for word in SOFT:
        file = parse(Source("t", template.format(word)))
        assert file.diagnostics == (), word
        assert file.items[0].tree is not None, word


@pytest.mark.parametrize("word", sorted(HARD_WORDS - {"_"}))
def test_a_hard_word_is_no_name_but_a_member(word: str) -> None:
    assert parse(Source("t", f"{word} = 3")).diagnostics[0].code == "A008"
    tree, diagnostics = parse_expression(Source("t", f"x.{word}"))
    assert isinstance(tree, ast.Attribute) and tree.part == word and not diagnostics


def test_right_texts_are_read_as_lark_reads_them() -> None:
    for path in sorted((GRAMMAR.parent / "blocks").glob("*.arch")):
        for item in parse(Source(path.name, path.read_text("utf-8"))).items:
            span, parser = item.span, engine()
            parser.builder.source = span.source
            straight = parser.straight.parse(span.source.text, span.start, span.end, "item")
            assert straight == parser.lark.parse(TextSlice(span.source.text, span.start, span.end), start="item")


@pytest.mark.parametrize("text", ["", "model M {", "model M { in x: }", "model M { $ }", "model M {} }"])
def test_texts_with_a_fault_are_left_to_lark(text: str) -> None:
    assert engine().straight.parse(text, 0, len(text), "item") is STUCK
