"""Modules for `archloom audit` whose models, batches, losses and optimisers are wrong somewhere."""

from __future__ import annotations

import random
from pathlib import Path

HEAD = """import sys, torch
from torch import nn

class Odd(Exception):
    def __str__(self): raise ValueError("no text")

class Thing:
    def __getattr__(self, name): raise Odd()

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.drop, self.norm = nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)
        self.b = nn.Linear(4, 2)
        self.register_buffer("seen", torch.zeros(()))
        INIT
    def forward(self, x=None, *rest, **more):
        FORWARD
        return {"loss": self.b(self.norm(self.drop(self.a(x)))).pow(2).mean()}
    EXTRA

def deep(n):
    value = torch.zeros(2, 4)
    for _ in range(n): value = [value]
    return value

def round():
    value = {"x": torch.zeros(2, 4)}
    value["me"] = value
    return value

def subject():
    model = Net()
    SETUP
    return RESULT
"""

INIT = [
    "self.me = [self]", "self.shared = self.a", "self.other = nn.Linear(4, 4, dtype=torch.float64)", "self.a.weight.requires_grad_(False)",
    "self.whole = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)", "self.odd = nn.Parameter(torch.tensor(float('nan')))",
    "self.add_module('w\\x1b[2J', nn.Linear(4, 4))", "self.add_module('a b/c\\n', nn.Linear(4, 4))", "self.register_parameter('none', None)",
    "self.register_buffer('half', torch.zeros(3, dtype=torch.float16))", "self.empty = nn.Parameter(torch.zeros(0, 4))",
    "self.c = nn.Parameter(torch.zeros(2, dtype=torch.complex64))", "self.register_buffer('sparse', torch.eye(3).to_sparse())",
    "self.a.weight = self.b.weight", "self.a = nn.utils.parametrizations.weight_norm(self.a)", "self.list = nn.ModuleList([self.a] * 3)",
    "self.register_buffer('view', self.a.weight.data[0])", "self.thing = Thing()", "self.lazy = nn.LazyLinear(3)", "self.add_module('gone', None)",
    "self.register_buffer('meta', torch.zeros(2, device='meta'))", "self.dict = nn.ParameterDict({'0': torch.zeros(2)})",
]  # fmt: skip
FORWARD = [
    "raise ValueError('\\x1b[2J')", "raise Odd()", "sys.exit(3)", "return None", "return self", "return {'loss': 'x'}", "return {}", "return [x, x]",
    "return {'loss': torch.tensor(float('nan'))}", "return {'losses': {1: self.b(x).mean(), 'a\\x1b': self.a(x).sum()}}", "return Thing()",
    "raise KeyError", "return self.forward(x)", "self.a.weight.data.zero_()", "self.seen += 1", "self.seen = torch.zeros(7)", "x.zero_()",
    "self.a = nn.Linear(4, 4)", "del self.seen", "self.b.requires_grad_(False)", "self.train(False)", "torch.manual_seed(0)", "print('hello')",
    "return {'loss': self.a(x).mean().item()}", "return {'loss': self.b(x)}", "self.new = nn.Parameter(torch.zeros(1))", "raise StopIteration",
    "torch.set_grad_enabled(False)", "return (yield x)", "raise MemoryError", "return {'loss': self.a(x).mean().detach()}", "raise GeneratorExit",
    "self.a.weight.grad = torch.ones(1, 4)", "sys.stdout.close()", "self.a.weight.data = torch.zeros(4, 8)", "raise BaseException('x')",
    "import warnings; warnings.warn('w')", "return self.a.weight.mean() * 1j", "self.zero_grad(); self.a(x).sum().backward()",
]  # fmt: skip
EXTRA = [
    "def state_dict(self, *a, **k): raise Odd()", "def state_dict(self, *a, **k): return {'a': 1, 2: None}",
    "def train(self, mode=True): raise Odd()",
    "def train(self, mode=True): return None", "def parameters(self, *a, **k): return iter([])", "def named_parameters(self, *a, **k): raise Odd()",
    "def __getattr__(self, name): return super().__getattr__(name) if name != 'config' else Thing()", "def __len__(self): return 0",
    "def __bool__(self): raise Odd()", "def __eq__(self, other): raise Odd()\n    __hash__ = nn.Module.__hash__", "def __repr__(self): raise Odd()",
    "def __call__(self, *a, **k): return 3", "def modules(self): raise Odd()", "def load_state_dict(self, *a, **k): raise Odd()",
    "def zero_grad(self, *a, **k): raise Odd()", "def __deepcopy__(self, memo): raise Odd()", "def eval(self): sys.exit()", "__slots__ = ()",
    "def named_modules(self, *a, **k): yield 'x', 3", "def apply(self, f): raise Odd()", "training = 'yes'", "def buffers(self, *a, **k): yield 3",
]  # fmt: skip
SETUP = [
    "raise Odd()", "sys.exit('bye')", "model.register_forward_hook(lambda *a: 3)", "model.a.register_forward_hook(lambda m, i, o: o[:, :2])",
    "model.a.register_full_backward_hook(lambda *a: (_ for _ in ()).throw(Odd()))", "model.a.weight.register_hook(lambda g: g * float('nan'))",
    "model.register_forward_pre_hook(lambda m, a: None)", "model.b.weight.register_hook(lambda g: g[:1])", "model = torch.jit.script(model.a)",
    "model = nn.Sequential(model.a)", "model = nn.DataParallel(model)", "model = model.half()", "model = model.to('meta')", "model = model.a.weight",
    "model = torch.compile(model, backend='nope')", "torch.use_deterministic_algorithms(True)", "torch.set_default_dtype(torch.float64)",
    "model.eval()", "model.requires_grad_(False)", "model.__class__ = nn.Identity", "model = lambda x: x", "model._modules['a'] = None",
    "sys.modules.pop('torch.nn', None)", "sys.stderr = None", "model.a.register_forward_hook(lambda *a: sys.exit(1))", "import os; os.chdir('/')",
    "model.a.weight.register_post_accumulate_grad_hook(lambda p: p.data.add_(1))", "model._parameters['q'] = 3", "sys.setrecursionlimit(100)",
]  # fmt: skip
FIELDS: dict[str, list[str]] = {
    "model": ["None", "3", "Net", "nn.Identity()", "nn.ModuleDict()", "nn.Sequential()", "Thing()"],
    "batch": [
        "None", "3", "'x'", "[]", "{}", "()", "deep(5)", "deep(2000)", "round()", "Thing()", "{1: torch.zeros(2, 4)}",
        "{'x\\x1b': torch.zeros(2, 4)}",
        "{'x': torch.zeros(0, 4)}", "{'x': torch.zeros(2, 4, dtype=torch.int64)}", "{'x': torch.full((2, 4), float('nan'))}", "{'x': None}",
        "{'x': torch.zeros(2, 4), 'y': [torch.zeros(2), 'a', None, {3: torch.ones(1, dtype=torch.bool)}]}", "iter([torch.zeros(2, 4)])",
        "torch.zeros(2, 4).to_sparse()", "torch.zeros(2, 4, dtype=torch.complex64)", "torch.zeros(2, 4, requires_grad=True)", "torch.zeros(1, 4)",
        "torch.zeros(2, 4, device='meta')", "torch.zeros(4).expand(2, 4)", "nn.Parameter(torch.zeros(2, 4))", "{'self': torch.zeros(2, 4)}",
        "torch.quantize_per_tensor(torch.zeros(2, 4), 0.1, 0, torch.qint8)", "{'x': torch.zeros(2, 4), 'x.y': torch.zeros(2)}",
    ],
    "losses": [
        "'loss'", "'nope'", "'loss.x'", "''", "[]", "{}", "3", "['loss', 'loss']", "{'a\\x1b': 'loss'}", "{1: 'loss'}", "lambda m, b: None",
        "lambda m, b: torch.zeros(2)", "lambda m, b: m.a.weight.sum()", "lambda m: 1", "lambda m, b: {'a': m.a.weight.mean(), 'b': 3}",
        "lambda m, b: sys.exit(2)", "lambda m, b: m.a.weight.mean() * float('inf')", "lambda m, b: 1 / 0", "Thing()", "[None]",
        "{'a': lambda m, b: {}}",
        "lambda m, b: m.a.weight.mean().to(torch.complex64)", "lambda m, b: torch.tensor(3)", "lambda m, b: iter([m.a.weight.mean()])",
    ],
    "batches": ["3", "[None]", "[torch.zeros(2, 4)] * 3", "[torch.zeros(2, 4), torch.zeros(3, 5)]", "iter([])", "[[], {}]", "None"],
    "optimizer": [
        "3", "[]", "[None]", "torch.optim.SGD(model.parameters(), 1e30)", "torch.optim.LBFGS(model.parameters())",
        "torch.optim.SGD([torch.zeros(2)], 1)",
        "torch.optim.Adam(Net().parameters())", "type('O', (torch.optim.SGD,), {'step': lambda s, c=None: sys.exit()})(model.parameters(), 1)",
        "type('O', (torch.optim.SGD,), {'state_dict': lambda s: 1 / 0})(model.parameters(), 1)", "torch.optim.SparseAdam(list(model.parameters()))",
        "type('O', (torch.optim.SGD,), {'step': lambda s, c=None: 1 / 0})(model.parameters(), 1)",
        "torch.optim.SGD(model.parameters(), float('nan'))",
    ],
    "frozen": ["'a'", "'nope'", "'**'", "''", "'a['", "3", "[3]", "'a\\x1b'", "['**.bias', 'a.weight']", "'{'", "'**.' * 60 + 'x'", "'a except a'"],
    "select": ["'b'", "'*'", "[]", "None", "'a..b'", "'(' * 5000", "'x' * 100000", "'9' * 5000", "'a[0..9999999999]'"],
    "checkpoint": ["'nope'", "3", "{}", "{'a.weight': 3}", "{1: torch.zeros(1)}",
    "{'a.weight': torch.zeros(4, 4), 'q\\x1b': torch.zeros(1)}", "'/dev/zero'", "'.'"],
    "prepare": ["3", "lambda m: 1 / 0", "lambda m: m.a.eval()", "lambda m: sys.exit()", "lambda m: m.requires_grad_(False)", "lambda: 1", "Thing()"],
    "steps": ["0", "1", "-1", "'4'", "None", "2.5", "True", "float('nan')"],
    "seed": ["-1", "2 ** 70", "'x'", "None", "1.5"],
}  # fmt: skip
"""Values of a subject's fields, few of which are what they ought to be."""
RESULTS = [
    "None",
    "3",
    "model",
    "(model,)",
    "(model, torch.zeros(2, 4), 'loss', 1)",
    "Thing()",
    "{'modle': model}",
    "{}",
    "[model]",
    "{3: model}",
    "(m for m in [])",
]
SPOILED = [
    "import nowhere",
    "def def",
    "raise SystemExit(1)",
    "x = 1 / 0",
    "\x00",
    "subject = 3",
    "raise ImportError",
    "raise Odd()",
    "import archloom.nope",
]
NAMES = [
    "a.py:subject",
    "a:subject",
    "a.py:nope",
    "b.py:subject",
    "a:",
    ":subject",
    "a.py",
    "a.py:sub ject",
    ".:subject",
    "a.b:subject",
    "torch:zeros",
    "os:getcwd",
]
FLAGS = [
    ["--json"], ["--frozen", "a"], ["--frozen", "\x1b"], ["--select", "**"], ["--select", "("], ["--checkpoint", "nope"], ["--checkpoint", "a.py"],
    ["--steps", "1"], ["--steps", "0"], ["--steps", "x"], ["--fail-on", "error"], ["--fail-on", "never"],
]  # fmt: skip


def audited(chance: random.Random, folder: Path) -> list[str]:
    """A module with one to three faults, and the command line that audits it."""
    slots = {"INIT": "pass", "FORWARD": "pass", "EXTRA": "pass", "SETUP": "pass"}
    fields = {"model": "model", "batch": "{'x': torch.randn(2, 4)}"}
    for _ in range(chance.choice((1, 1, 2, 3))):
        way = chance.randrange(8)
        if way < 4:
            name, choices = (("INIT", INIT), ("FORWARD", FORWARD), ("EXTRA", EXTRA), ("SETUP", SETUP))[way]
            slots[name] = chance.choice(choices)
        else:
            field = chance.choice(list(FIELDS))
            fields[field] = chance.choice(FIELDS[field])
    text = HEAD
    for name, piece in slots.items():
        text = text.replace(name, piece)
    made = "{" + ", ".join(f"'{name}': {value}" for name, value in fields.items()) + "}"
    text = text.replace("RESULT", chance.choice(RESULTS) if chance.random() < 0.1 else made)
    (folder / "a.py").write_text(chance.choice(SPOILED) if chance.random() < 0.05 else text)
    name = chance.choice(NAMES) if chance.random() < 0.1 else "a.py:subject"
    return ["audit", f"{folder}/{name}" if name.startswith(("a.py", "b.py")) else name, *(chance.choice(FLAGS) if chance.random() < 0.2 else [])]
