"""What an audit found: facts to read as a table or JSON, and findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from ...dsl.diagnostics import Severity
from ...dsl.record import record
from ...dsl.render import WIDTH, render_all, tally, to_json
from ..paths import covers
from ..tables import table
from .finding import Finding, plural
from .inventory import Inventory
from .keys import Keys
from .observing import Observed
from .running import Gradient
from .selectors import Miss

ORDER = tuple(Severity)


@record
class Part:
    """A row of the table: parameters under one name that are trained, or frozen, alike.

    `reached` is by loss how many of them it reaches, `live` whether dropout acts among frozen ones.
    """

    path: str
    trained: bool
    tensors: int
    numbers: int
    reached: Mapping[str, int]
    live: bool


@record
class Audit:
    """Facts about a model in training, and what is wrong with it.

    `losses` are the losses at the first step, `reach` the trained parameters that each gives a gradient, `tied` the other names of
    parameters that have several, `inputs` what each tensor of the batch does, `selectors` the parameters that each selector matches.
    """

    model: str
    steps: int
    batches: int
    losses: Mapping[str, float]
    reach: Mapping[str, tuple[str, ...]]
    parts: tuple[Part, ...]
    tied: Mapping[str, tuple[str, ...]]
    inputs: Mapping[str, str]
    selectors: Mapping[str, tuple[str, ...]]
    checkpoint: Keys | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def worst(self) -> Severity | None:
        """Return the severity of the worst finding."""
        return min((finding.diagnostic.severity for finding in self.findings), key=ORDER.index, default=None)

    def text(self, width: int = WIDTH, colour: bool = False) -> str:
        """Return the tables, then the findings, in lines of `width` where names allow."""
        diagnostics = [finding.diagnostic for finding in self.findings]
        found = render_all(diagnostics, colour=colour, width=width) + (tally(diagnostics) or "nothing found") + "\n"
        return "\n".join([*_tables(self, width), found])

    def __str__(self) -> str:
        return self.text().rstrip("\n")

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        keys = self.checkpoint
        return {
            "model": self.model,
            "steps": self.steps,
            "batches": self.batches,
            "losses": {name: {"value": value if isfinite(value) else None, "reaches": list(self.reach[name])} for name, value in self.losses.items()},
            "parts": [
                {"path": p.path, "trained": p.trained, "tensors": p.tensors, "numbers": p.numbers, "reached": dict(p.reached), "live": p.live}
                for p in self.parts
            ],
            "tied": {path: list(others) for path, others in self.tied.items()},
            "inputs": dict(self.inputs),
            "selectors": {pattern: list(paths) for pattern, paths in self.selectors.items()},
            "checkpoint": None
            if keys is None
            else {
                "name": keys.name,
                "common": list(keys.common),
                "held": list(keys.held),
                "missing": list(keys.missing),
                "unused": list(keys.unused),
                "misshapen": {name: {"stored": list(stored), "own": list(own)} for name, (stored, own) in keys.misshapen.items()},
            },
            "findings": [
                {key: value for key, value in to_json(finding.diagnostic).items() if key in ("code", "severity", "message", "help")}
                | {"place": finding.diagnostic.span.source.name, "paths": list(finding.paths)}
                for finding in self.findings
            ],
        }


def report(seen: Observed, findings: Sequence[Finding]) -> Audit:
    """Return what was observed as an `Audit`; the worst findings come first."""
    inventory = seen.inventory
    reach = {name: tuple(path for path, gradient in found.items() if gradient is Gradient.SOME and path not in seen.outside)
             for name, found in seen.steps.reach.items()}  # fmt: skip
    return Audit(
        type(seen.subject.model).__name__,
        max(seen.subject.steps, len(seen.subject.all_batches)),
        len(seen.subject.all_batches),
        {name: value.item() for name, value in seen.steps.values.items()},
        reach,
        tuple(_parts(inventory, reach, seen.live.paths)),
        {path: tuple(others) for path, others in inventory.aliases.items()},
        {name: f"{e.verdict.value}{f': {e.why}' if e.why else ''}" for name, e in seen.inputs.items()},
        {pattern: () if isinstance(found, Miss) else found for pattern, found in inventory.selected.items()},
        seen.keys,
        tuple(sorted(findings, key=lambda f: (ORDER.index(f.diagnostic.severity), f.code))),
    )


def _parts(inventory: Inventory, reach: Mapping[str, tuple[str, ...]], live: Iterable[str]) -> Iterator[Part]:
    """Yield a row for each first word below what all parameters have in common, and for trained and frozen apart."""
    words = [path.split(".")[:-1] for path in inventory.parameters]
    depth = 0
    while words and all(len(own) > depth + 1 for own in words) and len({own[depth] for own in words}) == 1:
        depth += 1
    rows: dict[tuple[str, bool], list[str]] = {}
    for path in inventory.parameters:
        name = ".".join(path.split(".")[: depth + 1])
        rows.setdefault((name, path not in inventory.frozen), []).append(path)
    for (name, trained), paths in rows.items():
        reached = {loss: len(set(found) & set(paths)) for loss, found in reach.items()}
        yield Part(name, trained, len(paths), inventory.size(paths), reached, not trained and any(covers(name, path) for path in live))


def _tables(audit: Audit, width: int) -> Iterator[str]:
    batches = plural(audit.batches, "batch").replace("batchs", "batches")
    yield f"{audit.model}: {plural(audit.steps, 'step')} of training on {batches}\n"
    head = ["part", "", "tensors", "numbers", *(f"reached by {name}" for name in audit.losses)]
    rows = [[_short(p.path, width // 3), _state(p), f"{p.tensors:,}", f"{p.numbers:,}", *_reached(p)] for p in audit.parts]
    if sum(max(len(row[i]) + 2 for row in [head, *rows]) for i in range(len(head))) > width:  # one line for each loss instead
        head, rows = head[:4], [row[:4] for row in rows]
        whole = {name: plural(len(audit.reach[name]), "tensor") for name in audit.losses}
        yield table([head, *rows], (2, 3))
        yield table([["loss", "first", "reaches"], *([name, f"{value:.4g}", whole[name]] for name, value in audit.losses.items())], (1,))
    else:
        yield table([head, *rows], (2, 3))
    if audit.tied:
        yield table([["tied", "with"], *([path, ", ".join(others)] for path, others in audit.tied.items())])
    yield table([["in the batch", ""], *map(list, audit.inputs.items())])
    if audit.selectors:
        yield table([["selector", "matches"], *([name, plural(len(paths), "tensor")] for name, paths in audit.selectors.items())])
    keys = audit.checkpoint
    if keys is not None:
        rest = f"{len(keys.missing):,} missing, {len(keys.unused):,} unused"
        yield f"{keys.name}: {len(keys.common):,} names in common, {len(keys.held):,} of equal values; {rest}\n"


def _state(part: Part) -> str:
    return "trained" if part.trained else "frozen, dropout live" if part.live else "frozen"


def _reached(part: Part) -> list[str]:
    """Return a cell for each loss: how many of a trained part's tensors it reaches."""
    if not part.trained:
        return [""] * len(part.reached)
    return ["all" if number == part.tensors else f"{number:,}" if number else "none" for number in part.reached.values()]


def _short(path: str, width: int) -> str:
    """Return a path, its middle left out where it is too long."""
    width = max(width, 20)
    return path if len(path) <= width else f"{path[: width // 2 - 1]}…{path[len(path) - (width - width // 2) :]}"
