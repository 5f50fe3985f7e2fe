"""Small specs that the tests of plans check, and what came of a check as plain text."""

from __future__ import annotations

from typing import Any

from archloom.compiler.check import check_text
from archloom.dsl.program import Program
from archloom.dsl.source import Source

FORKED = """import norm.RMSNorm

block Layer(dim: int) {
  in x: float[B, S, dim]
  norm = RMSNorm(dim)
  up = Linear(dim, 2 * dim)
  down = Linear(2 * dim, dim)
  out y = x + down(gelu(up(norm(x))))
}

block Forked(tasks: index, dim: int, depth: int, shared: int) {
  in x: float[B, S, dim]
  repeat i in 0..shared carry x {
    trunk = Layer(dim)
    x = trunk(x)
  }
  for t in tasks {
    z = x
    repeat i in shared..depth carry z {
      fork = Layer(dim)
      z = fork(z)
    }
    last = RMSNorm(dim)
    out h = last(z)
  }
  # BLOCK
}

model Two(vocab: int = 100, dim: int = 8, depth: int = 4, shared: int = 2) {
  index tasks = {understand, generate}
  in ids: int[B, S] in 0..vocab
  embed = Embedding(vocab, dim)
  lm_head = Linear(dim, vocab, bias = false)
  lm = Forked(tasks, dim, depth, shared)
  h = lm(embed(ids))
  task understand {
    target labels: int[B]
    head = Linear(dim, 3)
    out logits = head(mean(h[understand], dim = 1))
    loss text = cross_entropy(logits, labels)
  }
  task generate {
    target next: int[B, S]
    out logits = lm_head(h[generate])
    loss image = cross_entropy(logits, next)
  }
  # MODEL
}
"""
"""A trunk of two layers and a fork of two for each of two tasks."""

TIED = FORKED.replace("  # MODEL", "  tie embed.weight, lm_head.weight\n  # MODEL")

GATED = """block Gate(dim: int) {
  in x: float[B, dim]
  w = Linear(dim, dim)
  y = w(x)
  loss balance = 0.1 * mean(y * y)
  out z = y
}

model Pair(dim: int = 4, alpha: float = 0.0, extra: bool = false) {
  index tasks = {a, b}
  in x: float[B, dim]
  repeat i in 0..3 carry x {
    gate = Gate(dim)
    x = gate(x)
  }
  if extra {
    adapter = Linear(dim, dim)
    x = x + adapter(x)
  }
  for t in tasks {
    task t {
      head = Linear(dim, 2)
      target y: int[B]
      out logits = head(x)
      loss main = cross_entropy(logits, y)
    }
  }
  side = Gate(dim)
  task c {
    out h = side(x)
    if alpha > 0 {
      target soft: float[B, 2]
      loss kd = alpha * mean((a.logits - soft) * (a.logits - soft))
    }
  }
}

weight_of = {a: 2, b: 0.5}
"""
"""Losses in blocks and in tasks of a loop, and parts that an argument switches on."""

CHAINS = """block ChainLinear(chains: index, n: int) {
  in x: float[B, n]
  for c in chains {
    part = Linear(n, n)
    y = part(x)
  }
  out z = sum(y[c] for c in chains)
}

model Chains(depth: int = 2, n: int = 4, shared: bool = true) {
  index chains = 0..2
  in x: float[B, n]
  if shared { one = Linear(n, n) }
  repeat i in 0..depth carry x {
    layer = ChainLinear(chains, n)
    scale = one if shared else Linear(n, n)
    x = scale(layer(x))
  }
  omega[c in chains] = Parameter([n])
  out y = x + omega[0] + omega[1]
}
"""
"""Two sets of the same numbers, 0 and 1: layers and chains; and a name that stands for another module."""


def found(text: str, **asked: Any) -> list[tuple[str, str, str | None]]:
    """Return what is found in a spec: code, message and help of each diagnostic."""
    return [(d.code, d.message, d.help) for d in check_text(Source("spec.arch", text), **asked).diagnostics]


def program(text: str, name: str | None = None, **asked: Any) -> Program:
    """Return the program of a spec without errors."""
    result = check_text(Source("spec.arch", text), **asked)
    assert result.ok, [(d.code, d.message, d.help) for d in result.diagnostics]
    return result.programs[name or next(iter(result.programs))]


def inside(spec: str, statement: str, block: bool = False) -> str:
    """Return a spec with a statement at the end of its model, or of its block."""
    mark = "# BLOCK" if block else "# MODEL"
    assert mark in spec
    return spec.replace(mark, statement)


def stages(text: str) -> str:
    """Return a `train` item for the model of FORKED."""
    return f"\ntrain Two {{\n{text}\n}}\n"


def weights(rules: str, head: str = 'from "checkpoint"') -> str:
    """Return a weights map for the model of FORKED."""
    return f"\nweights start for Two {head} {{\n{rules}\n}}\n"
