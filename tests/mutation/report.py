"""The page about a run: the confusion matrix, and how often each kind of change was tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .verdict import Outcome

HEAD = """# Is `check` right?

`python tests/mutation/run.py --write` wrote this page. It takes every block and function of the library with its example, the
examples and sketches, the texts of these pages, the right texts of the catalogue of errors and those of `tests/mutation/texts`,
changes one thing, and asks twice what became of it: `check`, and an oracle (`tests/mutation/oracle.py`), which reads the syntax tree
alone and interprets it with real tensors at two or more sizes of every symbolic dimension, in training and evaluation. It uses none
of the rules for shapes, no graph and no part of the elaborator; of the library it takes the names and defaults of the arguments.

Each kind of change is made in two ways, in turn: at one place, as by mistake, and as a careful writer makes it, such as a name or a
width that is changed at all its places. Mutants are spread evenly over kinds and texts, and no text is tried twice.

- **False valid**: `check` finds nothing, and it fails at sizes that meet its conditions. **False invalid**: `check` finds an error,
  and it runs at every size tried, each block by itself too. **False condition**: one that is met always or never.
- **Outside a table**: `check` finds nothing, and it runs but for whole numbers that are beyond a table or the number of classes: those that
  [are not followed](language.md#numbers-and-their-places), computed from floats or from two tensors, or of inputs without a declared range.
- **Unknown**: the oracle has no meaning for what the mutant says, or it would not fit into memory.

What is stated of a valid text, its shapes, dtypes, parameters and multiply-adds, is compared with the module that is built of it by
`tests/generated`, for every primitive and block at sizes and with arguments that are drawn; what is refused there is given to the same
oracle. `HYPOTHESIS_PROFILE=long pytest tests/generated` draws each some hundred times, anew in each run.
"""


def report(outcomes: Sequence[Outcome], seconds: tuple[float, float], most: int, texts: int, seed: int) -> str:
    """Return the page: `seconds` are by the clock and of processor time, `most` the MiB that the largest worker held."""
    matrix = Counter((o.verdict, o.truth) for o in outcomes)
    results = Counter(o.result for o in outcomes)
    whole = sum("/" in o.base for o in outcomes)
    runs = sum(o.truth in RUN for o in outcomes)
    conditional = Counter(o.inherited for o in outcomes if o.verdict == "conditional")
    total = max(len(outcomes), 1)
    left = sorted((o for o in outcomes if o.result not in ("right", "unknown")), key=lambda o: (list(RESULTS).index(o.result), o.base))
    open_ = [f"- {RESULTS[o.result]}: {o.base}, {o.mutation.kind}, {o.change}: {o.reason}" for o in left]
    lines = [
        HEAD,
        f"{len(outcomes):,} mutants of {texts} texts (seed {seed}): {len(outcomes) - whole:,} of single blocks, {whole:,} of whole specs.",
        f"They took {seconds[1]:.0f} s of processor time, {seconds[0]:.0f} s by the clock with two workers, of which none held more than",
        f"{most:,} MiB.",
        f"{100 * runs / total:.1f} % of them run, {100 * conditional.total() / total:.1f} % of the verdicts are conditional: "
        f"{100 * conditional[True] / total:.1f} % of texts on which the verdict",
        f"is conditional before the change, too, {100 * conditional[False] / total:.1f} % by the change.",
        "",
        *table(("`check` says", *TRUTHS), [(v, *(f"{matrix[v, t]:,}" for t in TRUTHS)) for v in VERDICTS]),
        "",
        *table(("", "mutants"), [(name, f"{results[key]:,}") for key, name in RESULTS.items()]),
        "",
        "How often each kind of change was tried, and how many of these run:",
        "",
        *table(("kind", "tried", "run"), [(k, f"{n:,}", f"{r:,}") for k, n, r in by_kind(outcomes)]),
        "",
        "What the oracle does not know:",
        "",
        *(f"- {n:,} times: {reason}" for reason, n in Counter(o.reason for o in outcomes if o.result == "unknown").most_common()),
        "",
        "What is open:",
        "",
        *(open_ or ["- nothing"]),
        "",
    ]
    return "\n".join(lines).rstrip() + "\n"


VERDICTS = ("valid", "conditional", "invalid")
RUN = ("runs", "depends")
TRUTHS = ("runs", "depends", "fails", "values", "unknown")
RESULTS = {
    "right": "right",
    "false valid": "false valid", "false invalid": "false invalid", "false condition": "false condition", "values": "outside a table",
    "unknown": "unknown", "crash": "`check` raised", "oracle crash": "the oracle raised",
}  # fmt: skip


def by_kind(outcomes: Iterable[Outcome]) -> list[tuple[str, int, int]]:
    tried: Counter[str] = Counter()
    run: Counter[str] = Counter()
    for outcome in outcomes:
        tried[outcome.mutation.kind] += 1
        run[outcome.mutation.kind] += outcome.truth in RUN
    return [(kind, count, run[kind]) for kind, count in sorted(tried.items())]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]
