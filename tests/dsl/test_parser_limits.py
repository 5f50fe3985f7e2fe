"""Bad files: refused at once, with a reason, whatever they hold; and no text at all makes the parser raise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archloom
from archloom.dsl.diagnostics import Diagnostic
from archloom.dsl.parser import Limits, parse, parse_expression, pythonisms, read_source
from archloom.dsl.source import Source

SKETCHES = sorted((Path(archloom.__file__).parent / "examples" / "sketches").glob("*.arch"))


@pytest.mark.parametrize("text", ["(" * 1_000_000, "[{" * 500_000, "x = " + "(" * 300 + ")" * 300], ids=["round", "mixed", "matched"])
def test_nested_brackets_are_refused_before_lexing(text: str) -> None:
    file = parse(Source("t", text))
    assert file.items == ()
    [diagnostic] = file.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("A805", "brackets nest deeper than 200")


def test_brackets_nest_as_deep_as_the_limit() -> None:
    file = parse(Source("t", "model M { x = " + "(" * 199 + "1" + ")" * 199 + " }"))
    assert file.diagnostics == ()


@pytest.mark.parametrize(
    "text",
    ["1" + " + 1" * 5000, "-" * 5000 + "1", "not " * 300 + "a", "a" + " ** a" * 400, "x" + ".a" * 400, "f" + "(1)" * 400, "a if b else " * 400 + "c"],
    ids=["sum", "signs", "nots", "powers", "members", "calls", "choices"],
)
def test_deep_expressions_without_brackets_are_refused(text: str) -> None:
    tree, diagnostics = parse_expression(Source("t", text))
    assert tree is None
    assert [diagnostic.code for diagnostic in diagnostics] == ["A805"]


def test_deep_is_only_what_is_deep() -> None:
    wide = "f(" + ", ".join(f"a{i} + b[{i}]" for i in range(2000)) + ")"
    assert parse_expression(Source("t", wide))[1] == ()
    assert parse_expression(Source("t", "1" + " + 1" * 240))[1] == ()


def test_a_large_file_is_refused() -> None:
    [diagnostic] = parse(Source("t", "# é\n" * 300_000)).diagnostics
    assert (diagnostic.code, diagnostic.message) == ("A801", "the file is larger than 1024 KiB")
    assert parse(Source("t", "x = 1"), Limits(bytes=4)).diagnostics[0].code == "A801"


@pytest.mark.parametrize(("text", "what"), [("", "is empty"), (" \n\t\n", "is empty"), ("# x\n\n#y", "holds comments only")])
def test_an_empty_file_is_refused(text: str, what: str) -> None:
    [diagnostic] = parse(Source("t", text)).diagnostics
    assert (diagnostic.code, diagnostic.message) == ("A804", f"the file {what}")


def test_reading_files(tmp_path: Path) -> None:
    def code(data: bytes) -> str:
        path = tmp_path / "f.arch"
        path.write_bytes(data)
        read = read_source(path)
        return read.code if isinstance(read, Diagnostic) else read.text

    assert code(b"x = 1\r\ny = 2") == "x = 1\ny = 2"
    assert code("\ufeffx = 1".encode()) == "x = 1"
    assert code(b"\x89PNG\r\n\x1a\n") == "A802"
    assert code(b"PK\x03\x04\x00\x00") == "A803"
    assert code(b"#" * (2 << 20)) == "A801"
    missing = read_source(tmp_path / "none.arch")
    assert isinstance(missing, Diagnostic)
    assert (missing.code, missing.message) == ("A800", f"can't read `{tmp_path / 'none.arch'}`: no such file or directory")
    folder = read_source(tmp_path)
    assert isinstance(folder, Diagnostic) and folder.code == "A800"


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("config.json", "JSON"), ("pyproject.toml", "TOML"), ("train.YML", "YAML"), ("first.ipynb", "a notebook"), ("model.safetensors", "weights"),
        ("step.pt", "a pickle of weights"), ("pytorch_model.bin.index.json", "a pickle of weights"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_known_by_its_name(tmp_path: Path, name: str, holds: str) -> None:
    (tmp_path / name).write_text("{}")
    read = read_source(tmp_path / name)
    assert isinstance(read, Diagnostic)
    assert (read.code, read.message) == ("A807", f"by its name `{tmp_path / name}` holds {holds}, not a spec")


def settled(text: str) -> None:
    """Read a text to the end: each item has a tree or one error, and every place lies in the text."""
    file = parse(Source("t", text))
    for item in file.items:
        assert (item.tree is None) == (len(item.diagnostics) == 1)
        if item.tree is not None:
            pythonisms(item.tree)
    for diagnostic in file.diagnostics:
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(text)
        assert diagnostic.message and "__" not in diagnostic.message.replace("__init__", "")
        assert diagnostic.code[0] == "A"


PIECES = [
    "model M {", "}", "{", "(", ")", "[", "]", "\n", ";", "=", "==", ",", ":", ".", "..", "..=", "...", "*", "**", "-", "not", "in", "for", "if",
    "else", "x", "y", "3", "0.5", '"s"', '"', '"""', "#", "<-", "->", "in x: float[B]", "out y", "loss", "repeat i in", "carry", "with", "where",
    "as", "_", "'", "\\", "$", "é", "import torch", "lambda", "self.x", "tune", "stage a {", "train M {", " ", "  ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join))
def test_no_text_makes_the_parser_raise(text: str) -> None:
    settled(text)


@given(st.text(max_size=60))
def test_no_characters_make_the_parser_raise(text: str) -> None:
    settled(text)


@given(st.sampled_from(SKETCHES), st.floats(0, 1), st.integers(0, 12), st.sampled_from(["", *PIECES]))
def test_no_edit_of_a_real_file_makes_the_parser_raise(path: Path, place: float, length: int, new: str) -> None:
    text = path.read_text("utf-8")
    at = int(place * len(text))
    settled(text[:at] + new + text[at + length :])


def test_an_error_in_one_item_leaves_the_others() -> None:
    for path in SKETCHES[:8]:
        text = path.read_text("utf-8")
        count = len(parse(Source("t", text)).items)
        file = parse(Source("t", text + "\nblock Broken {\n  x = (1\n\nblock Sound { in x: float[B]; out y = x }\n"))
        assert [item.name for item in file.items[count:]] == ["Broken", "Sound"]
        assert [diagnostic.code for diagnostic in file.diagnostics] == ["A002"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x" + " + x" * 300, "an expression of more than 500 operands and operators in a row"),
        ("2" + " ** 2" * 60, "an expression of more than 50 powers and signs in a row"),
    ],
)
def test_a_long_expression_is_told_its_limit(value: str, says: str) -> None:
    assert [d.message for d in parse(Source("t", f"n = {value}")).diagnostics] == [says]
