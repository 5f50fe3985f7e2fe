"""`archloom.draw` and the command: arguments, themes, files, errors, hostile texts, and no torch."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import archloom
from archloom.compiler.cli import run
from archloom.compiler.draw.theme import DARK, LIGHT

from .specs import CACHES, FORK, TEACHER

NOTEBOOK = "_repr_svg_"  # the method that Jupyter looks for
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def fork(tmp_path: Path) -> str:
    path = tmp_path / "fork.arch"
    path.write_text(FORK)
    return str(path)


def test_a_notebook_shows_it_and_save_writes_it(tmp_path: Path) -> None:
    drawing = archloom.draw(EXAMPLES / "scene.arch")
    assert getattr(drawing, NOTEBOOK)() == drawing.svg
    assert re.fullmatch(r"<Drawing of Scene, \d+ x \d+>", repr(drawing))
    drawing.save(tmp_path / "scene.svg")
    assert (tmp_path / "scene.svg").read_text(encoding="utf-8") == drawing.svg


def test_parameters_and_presets_are_taken() -> None:
    assert "trunk ×9" in archloom.draw(FORK, {"shared": 9, "depth": 12}).svg
    with pytest.raises(archloom.Failure):
        archloom.draw(FORK, {"dpeth": 12})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "aling"}, "there is no stage `aling`; did you mean `align`? (known: `align`, `topic`)"),
        ({"task": "tome"}, "there is no task `tome`; did you mean `tone`? (known: `topic`, `tone`, `author`)"),
        ({"entry": "decode"}, "there is no entry `decode` (known: none)"),
        ({"theme": "drak"}, "there is no theme `drak`; did you mean `dark`? (known: `auto`, `light`, `dark`)"),
        ({"depth": 0}, "`depth` is 1 or more, not 0"),
    ],
    ids=["stage", "task", "entry", "theme", "depth"],
)
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        archloom.draw(FORK, **options)


@pytest.mark.parametrize("command", ["draw", "visualize"])
def test_the_command_prints_or_writes(command: str, fork: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, fork]) == 0
    printed = capsys.readouterr().out
    assert printed == archloom.draw(FORK).svg
    target = tmp_path / "fork.svg"
    assert run([command, fork, "-o", str(target)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.findall(r"^(?:warning\[.*?\]|error|wrote .*)", shown.err, re.MULTILINE) == ["warning[A516]", "warning[A530]", f"wrote {target}"]
    assert target.read_text(encoding="utf-8") == printed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--stage", "alinn"], 1, "there is no stage `alinn`; did you mean `align`?"),
        (["--task", "nothing"], 1, "there is no task `nothing`"),
        (["--entry", "decode"], 1, "there is no entry `decode`"),
        (["--model", "Frok"], 1, "Frok"),
        (["--param", "dpeth=3"], 1, "dpeth"),
        (["--theme", "blue"], 2, "blue"),
        (["--depth", "0"], 2, "depth"),
        (["-o", "no/such/folder/x.svg"], 1, "no/such/folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_command_says_what_is_wrong(arguments: list[str], code: int, said: str, fork: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["draw", fork, *arguments]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert "Traceback" not in shown.err


def test_a_spec_with_errors_is_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, target = tmp_path / "wrong.arch", tmp_path / "wrong.svg"
    wrong.write_text(FORK.replace("trunk(h)", "trnuk(h)"))
    assert run(["draw", str(wrong), "-o", str(target)]) == 1
    assert "A102" in capsys.readouterr().err
    assert not target.exists()
    wrong.write_text('"""Only a block."""\nblock Same { in x: float[B]; out y = x }\n')
    assert run(["draw", str(wrong)]) == 1
    assert "there is no model" in capsys.readouterr().err


def test_depth_opens_blocks() -> None:
    titles = [{cell.title for cell in archloom.draw(FORK, depth=depth).figure.cells} for depth in (1, 2)]
    assert "trunk" in titles[0]
    assert {"norm", "f"} <= titles[1]
    assert "trunk" not in titles[1]


def test_an_entry_has_its_own_signature() -> None:
    plain, decode = archloom.draw(CACHES), archloom.draw(CACHES, entry="decode")
    assert "out logits" in plain.svg
    assert "out next" in decode.svg
    assert "int B × 1" in decode.svg


def test_a_theme_is_a_choice_of_colours() -> None:
    auto, light, dark = (archloom.draw(FORK, theme=theme).svg for theme in ("auto", "light", "dark"))
    assert "prefers-color-scheme: dark" in auto
    assert "prefers-color-scheme" not in light + dark
    assert f"--back: {LIGHT['back']}" in light
    assert f"--back: {DARK['back']}" in dark
    assert DARK["back"] not in light


def test_pictures_on_one_page_do_not_mix_their_styles() -> None:
    pictures = [archloom.draw(FORK, theme=theme, task=task).svg for theme in ("light", "dark") for task in (None, "tone")]
    ids = {re.findall(r'<svg [^>]*id="(\w+)"', svg)[0] for svg in pictures}
    assert len(ids) == 4
    [own] = re.findall(r'<svg [^>]*id="(\w+)"', archloom.draw(TEACHER).svg)
    style = ET.fromstring(archloom.draw(TEACHER).svg).find("{http://www.w3.org/2000/svg}style")
    assert style is not None
    assert all(line.startswith((f"#{own}", "@media")) for line in str(style.text).strip().splitlines())


def test_every_class_that_is_used_has_a_style() -> None:
    for stage in (None, "warm"):
        svg = archloom.draw(TEACHER, stage=stage).svg
        used = {name for names in re.findall(r'class="([^"]*)"', svg) for name in names.split()}
        style = svg[svg.index("<style>") : svg.index("</style>")]
        assert [name for name in sorted(used) if not re.search(rf"\.{name}\b", style)] == []


def test_what_is_frozen_is_hatched_and_said_below() -> None:
    plain, warm = archloom.draw(TEACHER).svg, archloom.draw(TEACHER, stage="warm").svg
    assert "frozen for good" in plain
    assert "frozen in stage warm" in warm
    assert "Distil · 3.4 k parameters · stage warm</title>" in warm
    hatched = [svg.count("-hatch)") for svg in (plain, warm)]
    assert hatched == [3, 5]  # two boxes, four boxes, and the legend
    assert "hatch" not in archloom.draw(FORK).svg


def test_hostile_texts_are_only_text() -> None:
    name = "x" * 300
    text = FORK.replace("trunk", name).replace("\nmodel", '\n"""]]></desc><script>alert(1)</script> & "quoted\' <b>"""\nmodel', 1)
    svg = archloom.draw('"""</desc><script>&"""' + text).svg
    root = ET.fromstring(svg)
    known = {"svg", "title", "desc", "style", "rect", "text", "tspan", "g", "path", "defs", "pattern"}
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= known
    assert name not in {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert archloom.draw(text).layout.width < 1200


@pytest.mark.parametrize("arguments", [["draw", "examples/scene.arch"], ["draw", "examples/minilm_tasks.arch", "--stage", "joint"]], ids=" ".join)
def test_torch_is_not_imported(arguments: list[str]) -> None:
    code = f"import sys; from archloom.compiler.cli import run; code = run({arguments!r}); sys.exit(code or 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("<svg ")


def test_a_picture_of_very_many_boxes_is_refused() -> None:
    text = "model M { in x: float[B]; for t in 0..400 { task t { w = Parameter([1]); out y = x * w } } }"
    with pytest.raises(ValueError, match="boxes, and at most 1,000 are drawn"):
        archloom.draw(text)
    assert archloom.draw(text, task="3").svg.startswith("<svg")
