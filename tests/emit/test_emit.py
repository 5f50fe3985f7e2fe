"""An emitted file is the compiled model: the same outputs, gradients and parameter names, from torch alone."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

import archloom
from archloom.blocks.examples import EXAMPLES as LIBRARY_EXAMPLES
from archloom.compiler.api import load_program
from archloom.compiler.check import check_text
from archloom.compiler.cli import run
from archloom.compiler.emit.file import emit
from archloom.compiler.emit.run import load_source
from archloom.compiler.emit.tidying import tidied
from archloom.dsl.diagnostics import Failure, Severity
from archloom.dsl.program import Program
from archloom.dsl.source import Source

from .comparing import ROOT, WIDTH, compare, values

SMALL = {
    "minilm": {"vocab": 50, "dim": 16, "depth": 3, "heads": 2, "ffn": 24},
    "minilm_tasks": {"vocab": 50, "dim": 16, "depth": 2, "heads": 2, "ffn": 24},
    "scene": {"dim": 4},
    "scalearn": {"vocab": 50, "dim": 16, "depth": 2, "heads": 2, "ffn": 24},
    "adapterfusion": {"vocab": 50, "dim": 16, "depth": 2, "heads": 2, "ffn": 24},
}
EXAMPLES = [pytest.param(ROOT / "examples" / f"{name}.arch", params, id=name) for name, params in SMALL.items()]
PRESETS: dict[str, str | None] = {
    "unifork": None,
    "colm": None,
    "com_mlp": None,
    "filter": "FILTER",
    "invpt": None,
    "mlore": None,
    "taskexpert": None,
    "taskprompter": None,
}
"""Examples with a preset `small`, and which model of the file it is for."""

PAGE = (ROOT / "docs" / "language.md").read_text()
TEXTS = [
    pytest.param(match[1], id=f"line{PAGE[: match.start()].count(chr(10)) + 1}")
    for match in re.finditer(r"```arch *\n(.*?)```", PAGE, re.DOTALL)
    if re.search(r"^model ", match[1], re.MULTILINE)
]
LIBRARY = [
    pytest.param(case.text(name, whole=whole), id=f"{name}{'' if whole else '-least'}", marks=[] if whole else [pytest.mark.slow])
    for name, case in LIBRARY_EXAMPLES.items()
    for whole in ([True, False] if case.without else [True])
]

HANDED = """arch 1
block Gate(dim: int) { in x: float[B, dim]; proj = Linear(dim, dim); out y = x * sigmoid(proj(x)) }
block Reader(dim: int, gate: module) { in x: float[B, dim]; norm = LayerNorm(dim); out y = gate(norm(x)) }
model M(dim: int = 8) {
  in x: float[B, dim]
  gate = Gate(dim)
  a = Reader(dim, gate)
  b = Reader(dim, gate)
  out y = b(a(gate(x)))
}
"""
UPDATED = """arch 1
block Mean(dim: int) {
  in x: float[B, dim]
  center = Buffer([dim], init = zeros)
  update center = 0.9 * center + 0.1 * detach(mean(x, dim = 0))
  out y = x - center
}
model M(dim: int = 8) {
  in x: float[B, dim]
  part = Mean(dim)
  norm = BatchNorm1d(dim)
  out y = norm(part(x))
}
"""
TIED = """arch 1
model M(vocab: int = 11, dim: int = 8) {
  in ids: int[B, S] in 0..vocab
  table = Embedding(vocab, dim)
  head = Linear(dim, vocab, bias = false)
  tie table.weight, head.weight
  freeze table
  out y = head(table(ids))
}
"""
DRAWN = """arch 1
model M(dim: int = 8) {
  in x: float[B, dim]
  index times = 1..=3
  draw eps[t in times]: float[B, dim] ~ normal(0, 1)
  draw keep[t in times]: float[B, dim] ~ bernoulli(0.5)
  for t in times { z = x * keep[t] + eps[t] }
  out y = z[1] + z[2] * z[3]
}
"""
NESTED = """block Gate(dim: int) {
  in x: float[B, dim]
  a, b = Linear(dim, dim), Linear(dim, dim)
  u = a(x)
  out y = u + b(x)
  out left = sigmoid(u)
  out right = tanh(u)
}
model M {
  in x: float[B, 4]
  repeat i in 0..3 carry x {
    z = x
    repeat j in 0..2 carry z {
      gate = Gate(4)
      r = gate(z)
      z = r.y
      l, k = r.left, r.right
    }
    x = z
  }
  out y = x
  for i in 0..3 { for j in 0..2 { out a = l[i, j]; out b = k[i, j] } }
}
"""
STARTED = """
model M {
  index texts = {a, b}
  in x[t in texts]: float[B, 4]
  first = Linear(4, 4)
  h[t in texts] = first(x[t])
  repeat i in 0..3 carry h { layer = Linear(4, 4); for t in texts { h[t] = layer(h[t]) } }
  out y = concat(h[*], dim = -1)
  out own = h[a]
}
"""
CACHED = """arch 1
block Memory(dim: int) {
  in x: float[B, S, dim]
  state seen: float[B, P, dim] = empty
  seen = append(seen, x, dim = 1)
  out y = x + mean(seen, dim = 1, keepdim = true)
}
model M(dim: int = 8) {
  in x: float[B, S, dim]
  memory = Memory(dim)
  y = memory(x)
  out y
  entry decode { in x: float[B, 1, dim]; out next = y }
}
"""
TOKENS = CACHED.replace(
    "  entry decode",
    """  embed = Embedding(5, dim)
  in other: float[B, dim]
  out also = other
  entry read { in id: int[M, L] in 0..5; out next = memory(embed(id)) }
  entry decode""",
)


def program(text: str) -> Program:
    return load_program(text)


@contextlib.contextmanager
def refused() -> Generator[None]:
    """Let pass what is refused with a reason."""
    try:
        yield
    except Failure as failure:
        if [d.code for d in failure.diagnostics] != ["A824"]:
            raise


@pytest.mark.parametrize(("path", "params"), EXAMPLES)
def test_examples(path: Path, params: dict[str, int]) -> None:
    compare(path, params)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", PRESETS)
def test_small_presets(name: str) -> None:
    compare(ROOT / "examples" / f"{name}.arch", preset="small", name=PRESETS[name])


def test_losses_of_dense_tasks() -> None:
    compare(ROOT / "examples" / "mtlosses.arch")


def test_a_loop_goes_on_from_what_another_put_into_a_dict() -> None:
    compare("""block Cut(texts: index) {
  in x[l in texts]: float[B, 4]
  embed = Linear(4, 4)
  for l in texts { h = embed(x[l]) }
  repeat i in 0..3 carry h {
    layer = Linear(4, 4)
    for l in texts { h[l] = layer(h[l]) }
  }
  out y = concat(h[*], dim = 1)
}
model M { index texts = {a, b}; in x[l in texts]: float[B, 4]; cut = Cut(texts); out y = cut(x[*]) }""")


def test_one_of_several_results_is_put_into_a_list_alone() -> None:
    compare("""block Total(of: index) { in x[i in of]: float[B, 2]; out y = sum(x[*]) }
model M {
  index parts = 0..3
  in x: float[B, 4]
  for i in parts {
    f = Linear(4, 4)
    left, right = split(f(x), [2, 2], dim = 1)
  }
  total = Total(parts)
  out y = total(left[*])
}""")


def test_a_shorter_name_is_looked_for_until_there_is_none() -> None:
    lines = [(0, "y_3, y_0 = f(x)"), (0, "return y_0 - y_3")]
    assert tidied(lines, {"x"}) == [(0, "y, y_0 = f(x)"), (0, "return y_0 - y")]


def test_every_example_is_tried() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.arch")} == {*SMALL, *PRESETS, "mtlosses"}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("text", LIBRARY)
def test_library(text: str) -> None:
    compare(text)


@pytest.mark.parametrize("text", TEXTS)
def test_reference(text: str) -> None:
    errors = [d for d in check_text(Source("language.md", text)).diagnostics if d.severity is Severity.ERROR]
    assert errors == []
    with refused():
        compare(text)


@pytest.mark.parametrize("text", [HANDED, UPDATED, TIED, DRAWN, NESTED, STARTED], ids=["handed", "updated", "tied", "drawn", "nested", "started"])
def test_corners(text: str) -> None:
    compare(text)


def test_entries_carry_their_caches() -> None:
    model = archloom.compile(CACHED)
    emitted: Any = archloom.compile(CACHED, source=True)
    mine: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for seed in range(3):
        x = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(seed))
        mine = model.entry("decode")(x, states=mine.get("states"))
        theirs = emitted.decode(x, states=theirs.get("states"))
        assert values(mine).keys() == values(theirs).keys()
        for path, value in values(mine).items():
            torch.testing.assert_close(values(theirs)[path], value, rtol=0, atol=0)


def test_entries_take_what_their_outputs_need_and_make_caches_of_any_inputs() -> None:
    """An entry whose inputs are all whole numbers makes its empty caches in the parameters' dtype, for the rows that it is given."""
    model = archloom.compile(TOKENS)
    emitted: Any = archloom.compile(TOKENS, source=True)
    emitted.load_state_dict(model.state_dict())
    assert list(inspect.signature(emitted.read).parameters) == ["id", "states"]
    mine: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for id in (torch.tensor([[0, 3], [1, 4]]), torch.tensor([[2], [0]])):
        mine = model.entry("read")(id, states=mine.get("states"))
        theirs = emitted.read(id, states=theirs.get("states"))
        assert list(mine["states"]) == ["memory.seen"]
        for path, value in values(mine).items():
            assert torch.equal(values(theirs)[path], value), path


def test_entries_are_written_when_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = str(ROOT / "examples" / "unifork.arch")
    assert run(["emit", text, "--preset", "small"]) == 0
    plain = capsys.readouterr()
    assert plain.err == "left out: the entries ask, tell, prompt, place, score, read; --entries writes them, too\n"
    assert "def tell(" not in plain.out and plain.out.count("\n") < 800
    assert run(["emit", text, "--preset", "small", "--entries"]) == 0
    whole = capsys.readouterr()
    assert "def tell(" in whole.out and whole.err == ""


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, path = str(ROOT / "examples" / "minilm_tasks.arch"), tmp_path / "model.py"
    assert run(["emit", text, "--param", "dim=24", "-o", str(path)]) == 0
    assert "dim: int = 24" in path.read_text() and capsys.readouterr().out == ""
    assert run(["emit", text, "--param", "dim=24"]) == 0
    assert capsys.readouterr().out == path.read_text()
    assert run(["emit", text, "--task", "topic"]) == 0
    assert '"language"' not in capsys.readouterr().out.split("class MiniLMTasks", 1)[1]
    assert run(["emit", text, "--task", "topics"]) == 1
    assert "did you mean `topic`" in capsys.readouterr().err


def test_only_torch_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(emit(load_program(ROOT / "examples" / "minilm_tasks.arch", SMALL["minilm_tasks"])))
    code = (
        "import sys, torch, model\n"
        "m = model.MiniLMTasks()\n"
        "r = m(torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.bool), {'topic': torch.zeros(2, dtype=torch.int64)})\n"
        "r['loss'].backward()\n"
        "assert list(r['losses']) == ['topic.right'] and not any(name.startswith('archloom') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_layout(step: int, tmp_path: Path) -> None:
    """What is written is what a formatter would write, and a linter and a type checker have nothing to say."""
    for parameter in [*EXAMPLES][::step]:
        path, params = cast("tuple[Path, dict[str, int]]", parameter.values)
        (tmp_path / f"{path.stem}.py").write_text(emit(load_program(path, params)))
    for name, model in [*PRESETS.items()][::step]:
        (tmp_path / f"{name}.py").write_text(emit(load_program(ROOT / "examples" / f"{name}.arch", None, "small", model)))
    for number, parameter in enumerate([*LIBRARY, *TEXTS][::step]):
        with refused():
            (tmp_path / f"case{number}.py").write_text(emit(load_program(cast("str", parameter.values[0]))))
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    for command in (["format", "--check", "--diff"], ["check", "--extend-select", "I,UP,B"]):
        done = subprocess.run([ruff, *command, "--isolated", "--line-length", str(WIDTH), str(tmp_path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
def test_a_type_checker_has_nothing_to_say(tmp_path: Path) -> None:
    for name, model in PRESETS.items():
        (tmp_path / f"{name}.py").write_text(emit(load_program(ROOT / "examples" / f"{name}.arch", None, "small", model)))
    for name in ("scalearn", "adapterfusion", "com_mlp", "mlore"):
        (tmp_path / f"{name}_whole.py").write_text(emit(load_program(ROOT / "examples" / f"{name}.arch")))
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "basic"}')
    command = [shutil.which("pyright") or str(Path(sys.executable).with_name("pyright")), "--pythonpath", sys.executable, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "0 errors" in done.stdout, done.stdout[-4000:]


@pytest.mark.parametrize("name", ["minilm", "minilm_tasks"])
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.py", emit(load_program(ROOT / "examples" / f"{name}.arch")))


@pytest.mark.parametrize("name", SMALL)
def test_the_parameters_of_the_file_are_those_of_the_text(name: str) -> None:
    """A file written at the default sizes and made with others is the model compiled with these."""
    path, small = ROOT / "examples" / f"{name}.arch", SMALL[name]
    found = load_program(path)
    model = archloom.compile(path, small)
    emitted: Any = getattr(load_source(name, emit(found)), found.name)(**small)
    emitted.load_state_dict(model.state_dict())
    given = model.example_inputs()
    for key, value in values(model.eval()(**given)).items():
        torch.testing.assert_close(values(emitted.eval()(**given))[key], value, rtol=0, atol=0)


def test_a_file_runs_on_the_meta_device_and_for_some_tasks(tmp_path: Path) -> None:
    path, small = ROOT / "examples" / "minilm_tasks.arch", SMALL["minilm_tasks"]
    meta = archloom.compile(path, small, device="meta", source=True)
    assert all(p.is_meta for p in meta.parameters())
    one: Any = archloom.compile(path, small, tasks=["topic"], source=True)
    other = archloom.compile(path, small, tasks=["topic"])
    assert set(one.state_dict()) == set(other.state_dict()) and "head.language.linear.weight" not in one.state_dict()
    copied = copy.deepcopy(one)
    assert all(torch.equal(a, b) and a is not b for a, b in zip(copied.parameters(), one.parameters(), strict=True))


def test_lines_are_known() -> None:
    model = archloom.compile("model Net { in x: float[B, 4]; fc = Linear(4, 3); out y = relu(fc(x)) }", source=True)
    assert "F.relu" in inspect.getsource(type(model)) or "torch.relu" in inspect.getsource(type(model))
    try:
        model(torch.zeros(2, 5))
    except RuntimeError as error:
        assert "self.fc(x)" in "".join(traceback.format_exception(error))
    else:
        pytest.fail("a wrong shape has to fail")


EXTERN = {
    "a class": """arch 1
extern block Lin(in_features: int, out_features: int) from "torch.nn:Linear" {
  in x: float[B, in_features]
  out y: float[B, out_features]
}
model M { in x: float[B, 4]; f = Lin(4, 3); out y = f(x) }
""",
    "a function": """arch 1
extern fn soft(x: float[B, N]) -> float[B, N] from "host:soft"
model M { in x: float[B, 4]; out y = soft(x) }
""",
}


@pytest.mark.parametrize("name", EXTERN)
def test_what_is_extern_is_refused(name: str) -> None:
    with pytest.raises(Failure) as caught:
        emit(program(EXTERN[name]))
    assert [d.code for d in caught.value.diagnostics] == ["A824"]


def test_a_module_of_the_file_has_its_name() -> None:
    found = program("model Net { in x: float[B, 4]; out y = x + 1 }")
    module = load_source("Net", emit(found))
    assert issubclass(module.Net, nn.Module) and sys.modules[module.Net.__module__] is module
