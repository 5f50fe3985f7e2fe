"""Random small specs, each with a Python function that computes by hand what the spec says: loops as loops, families as dicts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HEAD = """fn twist(x: float[B, D], k: int = 2) { y = tanh(x) * k; out z = y - x }
block Res(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out y = x + relu(f(x)) }
block Pair(dim: int) { in x: float[B, dim]; f = Linear(dim, dim); out a = f(x); out b = x * 0.5 }
block Opt(dim: int) { in x: float[B, dim]; in gate: float[B, dim] if given(gate); y = x * gate if given(gate) else -x; out z = y }
block Fan(s: index, dim: int) { in x[t in s]: float[B, dim]; for t in s { f = Linear(dim, dim); out y = f(x[t]) + sum(x[*]) } }
block Deep(dim: int, n: int) { in x: float[B, dim]; h = x; repeat i in 0..n carry h { f = Linear(dim, dim); h = h + f(h) }; out y = h }
"""

PYTHON = """
def lin(W, p, x): return torch.nn.functional.linear(x, W[p + ".weight"], W[p + ".bias"])
def twist(x, k=2): return torch.tanh(x) * k - x
def res(W, p, x): return x + lin(W, p + ".f", x).relu()
def pair(W, p, x): return {"a": lin(W, p + ".f", x), "b": x * 0.5}
def opt(x, gate=None): return x * gate if gate is not None else -x
def fan(W, p, x): return {t: lin(W, f"{p}.f.{t}", v) + sum(x.values()) for t, v in x.items()}
def deep(W, p, x, n):
    for i in range(n): x = x + lin(W, f"{p}.f.{i}", x)
    return x
def path(*parts): return ".".join(map(str, parts))
"""

SETS: dict[str, list[Any]] = {"ts": ["a", "b", "c"], "us": ["k", "l"], "ns": [0, 1, 2, 3], "few": ["b", "c"], "odd": [1, 3]}
DECLARED = "index ts = {a, b, c}; index us = {k, l}; index ns = 0..4; index few = ts except {a}; index odd = {n for n in ns if n % 2 == 1}"
LETTERS = {"ts": "t", "us": "u", "ns": "n", "few": "s", "odd": "o"}
PARENT = {"few": "ts", "odd": "ns"}


def _number(set_: str, variable: str) -> str:
    """Return what a member counts as in arithmetic: its number, or the place of its name in the declared set."""
    return f"{SETS[PARENT.get(set_, set_)]!r}.index({variable})" if isinstance(SETS.get(set_, [0])[0], str) else variable


LONG = [
    ("mean(q, dim = 1)", "q.mean(1)"),
    ("q[:, -1]", "q[:, -1]"),
    ("sum(q[:, 1:] - q[:, :-1], dim = 1)", "(q[:, 1:] - q[:, :-1]).sum(1)"),
    ("sum(reshape(q, [B, S / 2, 2, 4])[:, :, 0], dim = 1)", "q[:, ::2].sum(1)"),
    ("sum(q[:, ::2], dim = 1)", "q[:, ::2].sum(1)"),
    ("sum(concat([q, q[:, :S // 2]], dim = 1), dim = 1)", "(q.sum(1) + q[:, :q.shape[1] // 2].sum(1))"),
    ("sum(q * S, dim = 1)", "(q * q.shape[1]).sum(1)"),
]


@dataclass
class Known:
    """A name in scope: its width, and for a family its set and the members that are there (outermost first)."""

    width: int
    members: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclass
class Loop:
    kind: str
    over: str
    variable: str
    members: list[Any]
    carry: set[str]
    born: set[str] = field(default_factory=set)


class Generator:
    """Writes one spec and its Python, statement by statement."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.arch: list[str] = []
        self.python: list[str] = []
        self.scopes: list[dict[str, Known]] = [{"x": Known(4), "z": Known(2), "w": Known(4)}]
        self.loops: list[Loop] = []
        self.count = 0

    # ------------------------------------------------------------------------------------------------ writing

    def line(self, arch: str, python: str) -> None:
        self.arch.append("  " * (len(self.loops) + 1) + arch)
        self.python.append("    " * (len(self.loops) + 1) + python)

    def fresh(self, letter: str = "v") -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def bind(self, name: str, known: Known) -> None:
        self.scopes[-1][name] = known

    def path(self, name: str) -> str:
        return "path(" + ", ".join([f'"{name}"', *(loop.variable for loop in self.loops)]) + ")"

    def visible(self) -> dict[str, Known]:
        return {name: known for scope in self.scopes for name, known in scope.items()}

    # -------------------------------------------------------------------------------------------- expressions

    def value(self, width: int, depth: int = 2) -> tuple[str, str]:
        """Return an expression of shape [B, width] and its Python."""
        makers: list[Callable[[int, int], tuple[str, str]]] = [self._name, self._member, self._sum]
        if depth > 0:
            makers += [self._long, self._unary, self._binary, self._scaled, self._cut, self._choice, self._turned, self._function, self._widths]
        return self.random.choice(makers)(width, depth - 1)

    def _name(self, width: int, depth: int) -> tuple[str, str]:
        names = [n for n, k in self.visible().items() if k.width == width and not k.members]
        name = self.random.choice(names)
        return name, name

    def _families(self, width: int) -> list[tuple[str, Known]]:
        return [(n, k) for n, k in self.visible().items() if k.width == width and k.members and all(members for _, members in k.members)]

    def _member(self, width: int, depth: int) -> tuple[str, str]:
        families = self._families(width)
        if not families:
            return self._name(width, depth)
        name, known = self.random.choice(families)
        arch, python = [], []
        for set_, members in known.members:
            running = [lp.variable for lp in self.loops if set_ == lp.over and set(lp.members) <= set(members)]
            running += [lp.variable for lp in self.loops if set_ == PARENT.get(lp.over) and set(lp.members) <= set(members)]
            if running and self.random.random() < 0.7:
                key = self.random.choice(running)
                arch.append(key)
                python.append(key)
            else:
                key = self.random.choice(members)
                arch.append(f"{set_}.{key}" if isinstance(key, str) and set_ in SETS else str(key))
                python.append(repr(key))
        return f"{name}[{', '.join(arch)}]", name + "".join(f"[{key}]" for key in python)

    def _sum(self, width: int, depth: int) -> tuple[str, str]:
        families = [(n, k) for n, k in self._families(width) if len(k.members) == 1 and k.members[0][1]]
        if not families:
            return self._member(width, depth)
        name, known = self.random.choice(families)
        set_, members = known.members[0]
        if self.random.random() < 0.4 and list(members) == SETS.get(set_):
            m = self.fresh("m")
            factor = (f" * {m}", f" * {_number(set_, m)}") if self.random.random() < 0.5 else ("", "")
            return f"sum({name}[{m}]{factor[0]} for {m} in {set_})", f"sum({name}[{m}]{factor[1]} for {m} in {list(members)!r})"
        if self.random.random() < 0.4 and list(members) == SETS.get(set_, list(members)):
            k = self.random.randrange(len(members))
            key = members[k]
            return f"sum({name}[..={key}])", f"sum(v for k, v in {name}.items() if k in {list(members[: k + 1])!r})"
        return self.pick((f"sum({name}[*])", f"sum({name}.values())"), (f"mean({name}[*])", f"(sum({name}.values()) / len({name}))"))

    def _unary(self, width: int, depth: int) -> tuple[str, str]:
        a, p = self.value(width, depth)
        return self.pick((f"relu({a})", f"({p}).relu()"), (f"-({a})", f"(-({p}))"), (f"tanh({a})", f"torch.tanh({p})"))

    def _long(self, width: int, depth: int) -> tuple[str, str]:
        a, p = self.random.choice(LONG)
        return (a, p) if width == 4 else (f"({a})[:, 2:]", f"({p})[:, 2:]")

    def _binary(self, width: int, depth: int) -> tuple[str, str]:
        (a, p), (b, q), op = self.value(width, depth), self.value(width, depth), self.pick("+", "-", "*")
        if self.random.random() < 0.3:
            b, q = f"mean({b}, dim = -1, keepdim = true)", f"({q}).mean(-1, keepdim=True)"
        return f"({a}) {op} ({b})", f"(({p}) {op} ({q}))"

    def _scaled(self, width: int, depth: int) -> tuple[str, str]:
        a, p = self.value(width, depth)
        if self.loops and self.random.random() < 0.6:
            loop = self.random.choice(self.loops)
            return f"({a}) * {loop.variable}", f"(({p}) * {_number(loop.over, loop.variable)})"
        return f"({a}) * 0.5", f"(({p}) * 0.5)"

    def _cut(self, width: int, depth: int) -> tuple[str, str]:
        (a, p), (b, q), k = self.value(width, depth), self.value(width, depth), self.random.randrange(1, width)
        return self.pick(
            (f"concat([({a})[:, :{k}], ({b})[..., {k}:]], dim = -1)", f"torch.cat([({p})[:, :{k}], ({q})[..., {k}:]], -1)"),
            (f"({a}) + ({b})[:, {k}, none]", f"(({p}) + ({q})[:, {k}, None])"),
        )

    def _choice(self, width: int, depth: int) -> tuple[str, str]:
        (a, p), (b, q) = self.value(width, depth), self.value(width, depth)
        condition, python = self._condition()
        return f"(({a}) if {condition} else ({b}))", f"(({p}) if {python} else ({q}))"

    def _condition(self) -> tuple[str, str]:
        if self.loops and self.random.random() < 0.8:
            loop = self.random.choice(self.loops)
            key, sign = self.random.choice(loop.members or [0]), self.pick("==", "!=")
            return f"{loop.variable} {sign} {key}", f"{loop.variable} {sign} {key!r}"
        return self.pick(("len(ts) > 2", "True"), ("n0 > 3", "False"), ("c in few", "True"))

    def _turned(self, width: int, depth: int) -> tuple[str, str]:
        a, p = self.value(width, depth)
        return self.pick(
            (f'rearrange(rearrange({a}, "b (d e) -> e b d", e = 2), "e b d -> b (d e)")', f"({p})"),
            (f"reshape(reshape({a}, [B * {width}]), [B, {width}])", f"({p})"),
            (f"({a}).mT.mT", f"({p})"),
        )

    def _function(self, width: int, depth: int) -> tuple[str, str]:
        a, p = self.value(width, depth)
        return self.pick((f"twist({a})", f"twist({p})"), (f"twist({a}, k = 3)", f"twist({p}, 3)"))

    def _widths(self, width: int, depth: int) -> tuple[str, str]:
        other = 6 - width
        a, p = self.value(other, depth)
        if width == 4:
            return f"concat([{a}, {a}], dim = 1)", f"torch.cat([{p}, {p}], 1)"
        return f"({a})[:, 1::2]", f"({p})[:, 1::2]"

    # --------------------------------------------------------------------------------------------- statements

    def statement(self, depth: int) -> None:
        makers: list[Callable[[int], None]] = [
            self._assign,
            self._assign,
            self._linear,
            self._block,
            self._record,
            self._parameter,
            self._two,
            self._shared,
        ]
        if depth > 0:
            makers += [self._for, self._for, self._repeat, self._repeat, self._steps, self._write, self._if, self._line_family, self._fan]
        self.random.choice(makers)(depth)

    def _assign(self, depth: int) -> None:
        width = self.pick(4, 2)
        a, p = self.value(width)
        name = self.fresh()
        self.line(f"{name} = {a}", f"{name} = {p}")
        self.bind(name, Known(width))

    def _two(self, depth: int) -> None:
        (a, p), (b, q), one, two = self.value(4), self.value(2), self.fresh(), self.fresh()
        self.line(f"{one}, {two} = {a}, {b}", f"{one}, {two} = {p}, {q}")
        self.bind(one, Known(4))
        self.bind(two, Known(2))

    def _linear(self, depth: int) -> None:
        width = self.pick(4, 2)
        (a, p), f, name = self.value(width), self.fresh("f"), self.fresh()
        self.line(f"{f} = Linear({width}, {width}); {name} = {f}({a})", f"{name} = lin(W, {self.path(f)}, {p})")
        self.bind(name, Known(width))

    def _shared(self, depth: int) -> None:
        (a, p), name = self.value(4), self.fresh()
        self.line(f"{name} = common({a})", f'{name} = lin(W, "common", {p})')
        self.bind(name, Known(4))

    def _parameter(self, depth: int) -> None:
        (a, p), w, name = self.value(4), self.fresh("w"), self.fresh()
        self.line(f"{w} = Parameter([4]); {name} = ({a}) * {w}", f"{name} = ({p}) * W[{self.path(w)}]")
        self.bind(name, Known(4))

    def _block(self, depth: int) -> None:
        width = self.pick(4, 2)
        (a, p), (b, q), g, name = self.value(width), self.value(width), self.fresh("g"), self.fresh()
        arch, python = self.pick(
            (f"{g} = Res({width}); {name} = {g}({a})", f"res(W, {self.path(g)}, {p})"),
            (f"{g} = Opt({width}); {name} = {g}({a})", f"opt({p})"),
            (f"{g} = Opt({width}); {name} = {g}({a}, {b})", f"opt({p}, {q})"),
            (f"{g} = Deep({width}, 7); {name} = {g}({a})", f"deep(W, {self.path(g)}, {p}, 7)"),
            (f"{g} = Res({width}); {name} = {g}({g}({a}))", f"res(W, {self.path(g)}, res(W, {self.path(g)}, {p}))"),
        )
        self.line(arch, f"{name} = {python}")
        self.bind(name, Known(width))

    def _record(self, depth: int) -> None:
        (a, p), g, r, name = self.value(4), self.fresh("g"), self.fresh("r"), self.fresh()
        self.line(f"{g} = Pair(4); {r} = {g}({a}); {name} = {r}.a - {r}.b", f'{r} = pair(W, {self.path(g)}, {p}); {name} = {r}["a"] - {r}["b"]')
        self.bind(name, Known(4))

    def _fan(self, depth: int) -> None:
        set_ = self.pick("ts", "us")
        whole = [(n, k) for n, k in self._families(4) if len(k.members) == 1 and k.members[0] == (set_, tuple(SETS[set_]))]
        if not whole:
            return self._line_family(depth)
        (source, _), g, name = self.random.choice(whole), self.fresh("g"), self.fresh()
        self.line(f"{g} = Fan({set_}, 4); {name} = {g}({source}[*])", f"{name} = fan(W, {self.path(g)}, {source})")
        self.bind(name, Known(4, ((set_, tuple(SETS[set_])),)))

    def _body(self, depth: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.statement(depth - 1)

    def _loop(self, kind: str, header: tuple[str, str], loop: Loop, depth: int, inside: Callable[[], None]) -> None:
        """Write a loop; names born inside become families after it."""
        place = len(self.python)
        self.line(header[0] + " {", header[1])
        self.loops.append(loop)
        self.scopes.append({})
        inside()
        self._body(depth)
        born = {n: k for n, k in self.scopes.pop().items() if n not in loop.carry}
        indent = "    " * (len(self.loops) + 1)
        level = len(self.loops)
        self.python.extend(f"{indent}born{level}_{n}[{loop.variable}] = {n}" for n in born)
        self.loops.pop()
        self.arch.append("  " * (len(self.loops) + 1) + "}")
        indent = "    " * (len(self.loops) + 1)
        self.python[place:place] = [f"{indent}born{level}_{n} = {{}}" for n in born]
        self.python.extend(f"{indent}{n} = born{level}_{n}" for n in born)
        for n, k in born.items():
            self.bind(n, Known(k.width, ((loop.over, tuple(loop.members)), *k.members)))

    def _for(self, depth: int) -> None:
        set_ = self.pick(*SETS)
        variable, members = self.fresh(LETTERS[set_]), SETS[set_]
        arch, python = f"for {variable} in {set_}", f"for {variable} in {members!r}:"
        if self.random.random() < 0.3:
            left_out = self.random.choice(members)
            arch, members = f"{arch} if {variable} != {left_out}", [m for m in members if m != left_out]
            python = f"for {variable} in {members!r}:"
        self._loop("for", (arch, python), Loop("for", set_, variable, members, set()), depth, lambda: self._assign(depth))

    def _repeat(self, depth: int) -> None:
        """Carry names that no loop around owns."""
        candidates = [n for n, k in self.scopes[-1].items() if not k.members and n not in ("x", "z", "w")]
        if not candidates:
            return self._assign(depth)
        carry = self.random.sample(candidates, min(len(candidates), self.random.randint(1, 3)))
        variable, start, stop = self.fresh("i"), self.pick(0, 0, 2), self.pick(2, 3, 7, 9)
        known = {n: self.scopes[-1][n] for n in carry}

        def inside() -> None:
            for n in carry:
                a, p = self.value(known[n].width)
                self.line(f"{n} = {a}", f"{n} = {p}")

        header = (f"repeat {variable} in {start}..{stop} carry {', '.join(carry)}", f"for {variable} in range({start}, {stop}):")
        self._loop("repeat", header, Loop("repeat", f"{start}..{stop}", variable, list(range(start, stop)), set(carry)), depth, inside)

    def _steps(self, depth: int) -> None:
        """A family that reads its own earlier members."""
        variable, stop, name, back = self.fresh("i"), self.pick(2, 4, 8), self.fresh(), self.pick(1, 2)

        def inside() -> None:
            (a, p), (b, q) = self.value(4), self.value(4)
            self.line(
                f"{name} = ({a}) if {variable} < {back} else {name}[{variable} - {back}] * 0.5 + ({b})",
                f"{name} = ({p}) if {variable} < {back} else born{len(self.loops)}_{name}[{variable} - {back}] * 0.5 + ({q})",
            )
            self.bind(name, Known(4))

        header = (f"repeat {variable} in 0..{stop}", f"for {variable} in range({stop}):")
        self._loop("repeat", header, Loop("repeat", f"0..{stop}", variable, list(range(stop)), set()), depth, inside)

    def _write(self, depth: int) -> None:
        """Write members of a family that stands in this very scope."""
        families = [(n, k) for n, k in self.scopes[-1].items() if len(k.members) == 1 and k.members[0][0] in ("ts", "us", "ns")]
        if not families:
            return self._for(depth)
        name, known = self.random.choice(families)
        set_, members = known.members[0]
        variable, kept = self.fresh(LETTERS[set_]), self.scopes[-1].pop(name)
        a, p = self.value(known.width)
        self.scopes[-1][name] = kept
        listed = "{" + ", ".join(map(str, members)) + "}"
        self.line(
            f"for {variable} in {listed} {{ {name}[{variable}] = {name}[{variable}] * 0.5 + ({a}) }}",
            f"{name} = {{k: v * 0.5 + ({p}) for k, v in {name}.items()}}",
        )

    def _line_family(self, depth: int) -> None:
        set_, name, m = self.pick("ts", "us", "ns"), self.fresh(), self.fresh("m")
        a, p = self.value(4)
        self.line(f"{name}[{m} in {set_}] = ({a}) * {m}", f"{name} = {{{m}: ({p}) * {SETS[set_]!r}.index({m}) for {m} in {SETS[set_]!r}}}")
        self.bind(name, Known(4, ((set_, tuple(SETS[set_])),)))

    def _if(self, depth: int) -> None:
        (a, p), (b, q), name = self.value(4), self.value(4), self.fresh()
        condition, python = self.pick(("len(us) == 2 and not (n0 > 3)", "True"), ("n0 > 3 or n0 in [4, 5]", "False"))
        self.line(f"if {condition} {{ {name} = {a} }} else {{ {name} = {b} }}", f"{name} = ({p}) if {python} else ({q})")
        self.bind(name, Known(4))

    # -------------------------------------------------------------------------------------------------- whole

    def spec(self, statements: int) -> tuple[str, str]:
        """Return the text of a model and the source of `def hand(W, x, z, w, q)`, which returns its outputs by path."""
        for _ in range(statements):
            self.statement(2)
        outs = [(n, k) for n, k in self.scopes[0].items() if n not in ("x", "z", "w")][-4:]
        ends = [f"  out o_{n} = {n}{'[*]' if k.members else ''}" for n, k in outs] + ["  out all = mean(x) + mean(z) + mean(w) + mean(q)"]
        returned = "    return {" + ", ".join([f'"o_{n}": {n}' for n, _ in outs] + ['"all": x.mean() + z.mean() + w.mean() + q.mean()']) + "}"
        body = "\n".join([*self.arch, *ends])
        text = f"{HEAD}model M(n0: int = 3) {{\n  {DECLARED}\n  in x: float[B, 4]\n  in z: float[B, 2]\n  in w: float[B, 4]\n  in q: float[B, S, 4]\n  common = Linear(4, 4)\n{body}\n}}\n"
        return text, f"{PYTHON}\ndef hand(W, x, z, w, q):\n" + "\n".join([*self.python, returned]) + "\n"
