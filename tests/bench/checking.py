"""How long `check` takes, as a share of `import torch` or of another check.  Run: python tests/bench/checking.py"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from pairs import Ratio, compare, show, spent

from archloom.compiler.check import check_text
from archloom.compiler.graph import Graph
from archloom.dsl.source import Source

ROOT = Path(__file__).parents[2]
SPECS = ("minilm_tasks.arch", "unifork.arch")
LONG = [path for path in sorted((ROOT / "examples").glob("*.arch")) if len(path.read_text("utf-8").splitlines()) >= 200]
EDITS = {"a comment": "# {}", "a statement": "assert {} >= 0"}
"""What is put into a model: a line that changes none of its words, and one after which all that is said about it is looked at again."""

NUMBERS = count()


def process(*arguments: str) -> None:
    """Run Python as a user would, with bytecode on disk."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)


def import_torch() -> None:
    process("-c", "import torch")


def empty() -> None:
    process("-c", "pass")


def decoder(depth: int, dim: int, heads: int, kv_heads: int, ffn: int, vocab: int) -> Source:
    """Return a Llama of a shape, a new text each time so that nothing is remembered but the bodies of library blocks."""
    text = f"""
import llama.CausalLM
model M {{
  in ids: int[B, S] in 0..{vocab}
  lm = CausalLM({vocab}, {dim}, {depth}, heads = {heads}, kv_heads = {kv_heads}, ffn = {ffn})
  task text {{ target labels: int[B, S]; out logits = lm(ids); loss next = cross_entropy(logits[:, :-1], labels[:, 1:]) }}
}}
"""
    return Source(f"decoder{next(NUMBERS)}.arch", text)


def small(depth: int) -> None:
    assert check_text(decoder(depth, 64, 4, 2, 128, 100)).ok


def strange(depth: int) -> None:
    """Check a decoder whose blocks no earlier check has elaborated."""
    dim = 64 + 8 * next(NUMBERS)
    assert check_text(decoder(depth, dim, 4, 2, 2 * dim, 100)).ok


def edited(path: Path, line: str) -> Iterator[Source]:
    """Yield texts of a file whose model has another line each time: none is known from before."""
    text = path.read_text("utf-8")
    at = text.index("  in ", text.index("model "))
    assert check_text(Source(str(path), text), text=False, presets=True).ok
    for number in range(15):
        yield Source(str(path), f"{text[:at]}  {line.format(number)}\n{text[at:]}")


def llama_405b() -> None:
    result = check_text(decoder(126, 16384, 128, 8, 53248, 128256))
    assert Graph(result.programs["M"]).count().parameters == 405_853_388_800


def ratios() -> Iterator[Ratio]:
    """Measure all of this page."""
    torch_seconds = sorted(spent(import_torch) - spent(empty) for _ in range(7))[3]
    for spec in SPECS:
        path = str(ROOT / "examples" / spec)
        run = partial(process, "-m", "archloom", "check", path)
        run()  # bytecode is on disk from here on
        yield compare(f"`archloom check examples/{spec}`, whole process / `import torch`, whole process", run, import_torch, 0.35, 15)
    for path in LONG:
        for name, line in EDITS.items():
            checks = sorted(spent(partial(check_text, text, text=False, presets=True)) for text in edited(path, line))
            what = f"check of `examples/{path.name}` in a warm process, after {name} came into its model / `import torch`"
            yield against(what, checks, torch_seconds, 0.05)
    yield compare("check of a decoder of 1,000 layers / of 10 layers, warm process", lambda: small(1000), lambda: small(10), 3, 15, clock=spent)
    yield compare("the same, of widths that no check has seen", lambda: strange(1000), lambda: strange(10), 3, 15, clock=spent)
    large = sorted(spent(llama_405b) for _ in range(15))
    yield against("check and count of a Llama of 405B / `import torch`", large, torch_seconds, 0.5)


def against(name: str, times: list[float], torch_seconds: float, bound: float) -> Ratio:
    """Compare sorted times with the import of torch."""
    n = len(times)
    return Ratio(name, times[n // 2] / torch_seconds, times[n // 4] / torch_seconds, times[3 * n // 4] / torch_seconds, bound)


if __name__ == "__main__":
    show(ratios())
