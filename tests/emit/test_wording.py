"""How an emitted file is written: loops, classes, a Sequential, and functions of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archloom.compiler.emit.helpers import Helpers
from archloom.compiler.emit.layout import WIDTH

from .comparing import compare

PRIMITIVES = Path(__file__).parents[2] / "blocks" / "primitives"


TAKEN = re.findall(r'"(archloom\.compiler\.runtime\.\w+\.[a-z]\w+)"', "".join(path.read_text() for path in PRIMITIVES.rglob("*.py")))


@pytest.mark.parametrize("dotted", sorted(set(TAKEN)))
def test_what_a_file_takes_along_is_python_within_the_width(dotted: str) -> None:
    helpers = Helpers()
    helpers.use(dotted)
    lines = helpers.lines()
    compile("\n".join((*helpers.imports, *lines)), dotted, "exec", dont_inherit=True)
    assert [line for line in lines if len(line) > WIDTH] == []


def test_loops_go_through_families_lists_and_numbers() -> None:
    text = """arch 1
model M(dim: int = 8) {
  in x: float[B, dim]
  index parts = 0..3
  cut = split(x, [2, 2, 4], dim = 1)
  for p in parts {
    f = Linear(4 if p == 2 else 2, dim)
    y = roll(f(cut[p]), p - 1, dim = 1)
  }
  h = y[0]
  repeat i in 1..4 carry h { g = Linear(dim, dim); h = relu(g(h)) + y[0] }
  for t in {left, right} { e = Linear(dim, dim); out z = e(h) * mean(y[*]) }
}
"""
    source = compare(text)
    assert "for f, part, a in zip(self.f, parts, (-1, 0, 1), strict=True)" in source
    assert "for g in self.g.values():" in source and "* (sum(ys) / 3)" in source


def test_a_list_is_no_word_of_python() -> None:
    text = """arch 1
model M(dim: int = 8) {
  in x: float[B, dim]
  for t in {left, right, rest} { f = Linear(dim, dim); a = f(x) }
  out y = stack(a[*], dim = 0)
  out z = sum(a[*])
}
"""
    assert "as_1 = [f(x) for f in self.f.values()]" in compare(text)


def test_no_variable_of_a_loop_hides_an_input() -> None:
    text = """arch 1
model M(dim: int = 4) {
  in x: float[B, dim]
  draw noise[i in 0..3]: float[B, dim] ~ normal(0, 1)
  for i in 0..3 { f = Linear(dim, dim); h = f(x) * noise[i]; g = Linear(dim, dim); y = g(h) + h }
  out a = sum(y[*]) + noise[1] * sum(h[*])
}
"""
    source = compare(text)
    assert "for noise" not in source and ", noise in" not in source


def test_equal_blocks_of_different_numbers_share_a_class() -> None:
    text = """arch 1
block Layer(dim: int) { in x: float[B, dim]; fc = Linear(dim, dim); out y = x + relu(fc(x)) }
model M { in x: float[B, 8]; a = Layer(8); b = Layer(4); down = Linear(8, 4); out y = b(down(a(x))) }
"""
    source = compare(text)
    assert source.count("class ") == 2
    assert "self.a = Layer(8)" in source and "self.b = Layer(4)" in source and "nn.Linear(dim, dim)" in source


def test_a_sequential_is_one_module_that_is_called_once() -> None:
    text = """arch 1
block Half(dim: int) { in x: float[B, dim]; fc = Linear(dim, dim // 2); out y = fc(x) }
model M(dim: int = 8, drop: float = 0.25) {
  in x: float[B, dim]
  index parts = 0..4
  plain = Sequential(relu, Linear(dim, dim), softmax(dim = -1, ...))
  for p in parts {
    f = Sequential(Linear(dim, dim), gelu(approximate = "tanh", ...), Sequential(dropout(p = drop, ...), Half(dim)), elu(alpha = 0.3, ...))
    y = f(plain(plain(x)))
  }
  other = Sequential(Linear(dim // 2, dim, bias = false), square, Linear(dim, 1))
  out z = other(sum(y[*]))
}
"""
    source = compare(text)
    assert "self.plain = nn.Sequential(nn.ReLU(), nn.Linear(dim, dim), nn.Softmax(-1))" in source
    assert "nn.Sequential(nn.Dropout(drop), Half(dim))," in source and 'nn.GELU("tanh"),' in source and "nn.ELU(0.3)," in source
    assert "nn.Linear(dim // 2, dim, bias=False), Apply(torch.square), nn.Linear(dim, 1)" in source
    assert "ys = [f(self.plain(self.plain(x))) for f in self.f]" in source and '"z": self.other(sum(ys))' in source


def test_draws_keep_their_order_where_a_long_statement_is_cut() -> None:
    text = """arch 1
block Noisy(dim: int) { in x: float[B, S, dim]; in mask: bool[B, S]; out y = dropout(x, 0.5) * float(mask)[..., none] }
model M {
  in first: float[B, S, 6]
  in second: float[B, N, 6]
  in first_mask: bool[B, S]
  in second_mask: bool[B, N]
  noisy = Noisy(6)
  out joined_sequence = concat([noisy(first * 2.0 + 1.0, first_mask), noisy(second * 2.0 + 1.0, second_mask)], dim = 1)
}
"""
    compare(text)


def test_what_torch_has_no_function_for_is_a_function_of_the_file() -> None:
    text = """arch 1
model M(theta: float = 500.0) {
  in x: float[B, 2, S, 8]
  in row: float[B, S, 4]
  in part: float[B, N, 4]
  in at: int[B] in 0..S
  in apply_rope: float[B, 2, S, 8]
  y = rope(x, theta = theta) + rope(apply_rope, theta = theta, interleaved = true, dim = 4)
  out y
  out joined = splice(row, part, at)
  out ids = splice(row[:, :, 0], part[:, :, 0], at, replace = 1)
}
"""
    source = compare(text)
    assert source.count("def splice(") == 1 and "splice(row, part, at)" in source and ", at, replace=1)" in source
    assert "cos, sin = rope_table(" in source and "self.theta" in source and "apply_rope_(x, cos, sin)" in source


FAMILIES = """arch 1
block Mix(tasks: index, dim: int) {
  for t in tasks { in x: float[B, dim] }
  index parts = 0..3
  for p in parts { f = Linear(dim, dim) }
  for t in tasks {
    gate = Linear(dim, 3)
    g = gate(x[t])
    out y = g[:, 0, none] * f[0](x[t]) + g[:, 1, none] * f[1](x[t]) + g[:, 2, none] * f[2](x[t])
  }
}
model M(dim: int = 6) {
  index tasks = {depth, edge, seg}
  in image: float[B, dim]
  for t in tasks { start = Linear(dim, dim); memory = start(image) }
  repeat l in 0..2 carry memory { mix = Mix(tasks, dim); memory = mix(memory[*]) }
  for t in tasks { task t { out pred = memory[t] } }
}
"""


def test_families_go_in_and_out_whole() -> None:
    source = compare(FAMILIES)
    assert "def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:" in source
    assert 'TASKS = ("depth", "edge", "seg")' in source and source.count('"edge"') == 1
    assert "memory = {task: self.start[task](image) for task in TASKS}" in source
    assert "memory = mix(memory)" in source and "y[task] = reduce(torch.add, terms)" in source


def test_one_function_serves_calls_that_want_less_or_another_member() -> None:
    text = """arch 1
block Fork(dim: int) {
  in x: float[B, dim]
  for t in {left, right} { branch = Linear(dim, dim); out y = branch(x) }
}
block Two(dim: int) {
  in x: float[B, dim]
  fc = Linear(dim, dim)
  out first = fc(x)
  out second = first * 2
}
model M(dim: int = 4) {
  in x: float[B, dim]
  fork = Fork(dim)
  two = Two(dim)
  seen = two(x)
  out a = fork(seen.first + seen.second)[left]
  out b = fork(two(x + 1).first)[right]
}
"""
    source = compare(text)
    assert "def forward(self, x: Tensor, name: str) -> Tensor:" in source and "return self.branch[name](x)" in source
    assert 'name="left")' in source and 'name="right")' in source
    assert source.count("def forward(") == 3 and "forward_" not in source


CACHED = """arch 1
block Memory(dim: int) {
  in x: float[B, S, dim]
  state seen: float[B, P, dim] = empty
  seen = append(seen, x, dim = 1)
  out y = x + mean(seen, dim = 1, keepdim = true)
}
model M(dim: int = 4) {
  in x: float[B, S, dim]
  y = x
  repeat i in 0..3 carry y { memory = Memory(dim); y = memory(y) }
  out y
  entry decode { in x: float[B, 1, dim]; out next = y }
}
"""


def test_caches_are_handed_on_by_their_layers() -> None:
    """With caches or without, a layer has one function; the model goes through its layers in one loop."""
    source = compare(CACHED)
    assert "def forward(self, x: Tensor, states: dict[str, Any] | None = None) -> Tensor:" in source
    assert 'states["seen"] = ' in source and "caches = nested(states)" in source and 'outputs["states"] = flattened(caches)' in source
    assert 'states=caches["memory"][name])' in source and 'states[f"memory.{i}.seen"] = torch.empty(' in source
    assert "forward_" not in source


def test_an_entry_keeps_its_name_beside_a_parameter() -> None:
    text = """arch 1
model M(decode: int = 4) {
  in x: float[B, S, decode]
  out y = reshape(x, [B, S * decode // 2, 2])
  entry decode { out z = reshape(x, [B, S * decode // 2, 2]) * 2 }
}
"""
    source = compare(text)
    assert "    def decode(self" in source and "self.decode = " not in source


def test_the_model_says_what_it_takes_and_gives() -> None:
    source = compare(FAMILIES)
    assert "    `forward` takes\n        image: float[B, 6]\n" in source and "\n        depth.pred: float[B, 6]\n" in source


def test_a_loop_has_its_last_turn_though_nothing_reads_its_end() -> None:
    text = """arch 1
model M(dim: int = 4) {
  in x: float[B, dim]
  table = Parameter([dim], init = ones)
  rest = x
  repeat i in 0..4 carry rest { part = round(rest * table); rest = rest - part }
  out all = stack(part[*], dim = 0)
}
"""
    source = compare(text)
    assert "for _ in range(4):" in source and "torch.stack(parts, dim=0)" in source


def test_the_order_of_a_dict_that_is_handed_in_does_not_matter() -> None:
    source = compare("""arch 1
model M {
  for t in {left, right, rest} { in x: float[B, 3]; y = relu(x) }
  out all = stack(y[*], dim = 0)
}
""")
    assert "x.values()" not in source and 'for name in ("left", "right", "rest")' in source
