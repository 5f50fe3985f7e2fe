# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportUnusedExpression=false, reportPrivateUsage=false, reportReturnType=false, reportUnusedFunction=false
# pyright: reportUnnecessaryContains=false, reportUnboundVariable=false, reportOperatorIssue=false, reportGeneralTypeIssues=false
# pyright: reportConstantRedefinition=false
# (`need` says what must be so, and narrows no type)
"""What `check` says of a text beside what the oracle finds: one outcome for each mutant."""

from __future__ import annotations

import gc
import traceback
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archloom.compiler.check import check_text
from archloom.dsl.program import Condition, Program
from archloom.dsl.source import Source

from .mutation import Base, Mutation
from .oracle import Outside, Unknown, Wrong, run_model, size_in
from .plans import judge_plans, plans_of, preset_facts
from .reading import imported, read
from .sizes import capitals, met, tries


@dataclass(frozen=True)
class Verdict:
    """What `check` says: valid, invalid or conditional, with the codes of its errors and its conditions."""

    word: str
    codes: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    messages: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    program: Program | None = None
    modal: bool = False  # one of them is of training alone

    def hold(self, sizes: Mapping[str, int]) -> bool:
        """Tell whether the conditions are met at some sizes."""
        return all(met(c, sizes) for c in self.conditions)


@dataclass(frozen=True)
class Outcome:
    """One mutant with the verdict, what the oracle found, and whether that is `right`, `false valid`, `false invalid`, ..."""

    base: str
    mutation: Mutation
    verdict: str
    truth: str
    result: str
    reason: str = ""
    codes: tuple[str, ...] = ()
    change: str = ""
    inherited: bool = False  # the verdict on the unchanged text is conditional


def verdict(base: Base, text: str) -> Verdict:
    try:
        found = check_text(Source(base.name, text), base.params, base.preset, base.model, text=False)
    except Exception as error:  # noqa: BLE001  # whatever `check` raises is a finding
        return Verdict("crash", messages=(f"{type(error).__name__}: {error} {_place(error)}",))
    errors = [d for d in found.diagnostics if d.severity.value == "error"]
    if errors:
        places = tuple(d.span.start for d in errors)
        return Verdict("invalid", tuple(d.code for d in errors), places=places, messages=tuple(f"{d.code} {d.message}" for d in errors[:3]))
    program = found.programs[base.model]
    both = [{c.text: c for c in body.conditions if not c.given} for body in (program.eval, program.training)]
    conditions = tuple((both[0] | both[1]).values())
    return Verdict(
        "conditional" if conditions else "valid", conditions=conditions, program=program, modal=any(c.module is not None for c in conditions)
    )


def _place(error: BaseException) -> str:
    """Return where an error came from: the last lines of its trace, in one."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-4:]))


class Runs:
    """The runs of one mutant: each at some sizes, in one mode."""

    def __init__(self, base: Base, text: str, modal: bool) -> None:
        self.base, self.owned = base, dict[str, tuple[int, ...]]()
        self.modal = modal or base.modal or "training" in text or "BatchNorm" in text
        self.broken: Wrong | None = None
        self.count, self.text = 0, text
        self.doubts: set[str] | None = None
        try:
            self.file = read(Source(base.name, text))
            imported(self.file)
            if base.model not in self.file.items:
                raise Wrong("no model")
            self.plans = plans_of(Source(base.name, text), base.model)
        except Wrong as wrong:
            self.broken = wrong

    def at(self, sizes: Mapping[str, int], alone: bool = False) -> Wrong | None:
        """Return what is wrong at some sizes, None where it runs; raises Outside and Unknown.

        With `alone` each block is tried by itself, too: its own sizes are different ones, whatever its callers give.
        """
        if self.broken is not None:
            return self.broken
        self.count += 1
        try:
            apart = None
            for training in (False, True) if self.modal else (self.count % 2 == 1,):
                params = {**self.base.params, **self.plans.preset(self.base.preset)}
                ran, body, frame = run_model(self.file, self.base.model, sizes, training, params, alone=alone)
                if training:
                    if apart is not None:
                        body.made.take(apart)
                    judge_plans(self.plans, body, frame, self.file, params, self.base.preset)
                apart = body.made
                self.doubts = ran.doubts if self.doubts is None else self.doubts & ran.doubts
                for path, shape in ran.owned.items():
                    if self.owned.setdefault(path, shape) != shape:
                        return Wrong("the shapes of parameters depend on sizes that come late")
            if not self.base.params and self.base.preset is None:
                for item in self.plans.presets:
                    _, body, frame = run_model(self.file, self.base.model, sizes, False, self.plans.preset(item.name))
                    preset_facts(item, frame)
        except Wrong as wrong:
            return Wrong(wrong.reason, wrong.kind)  # without its trace, which holds the run
        finally:
            gc.collect()
        return None


@contextmanager
def _swept() -> Generator[None]:
    """Let the search for garbage look at nothing but what is made in here, at its end and after each run.

    What a run makes hangs together in circles, and Python counts its objects, not the bytes of its tensors: left to itself it lets gigabytes stay.
    """
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()
        gc.enable()


@_swept()
def compare(base: Base, mutation: Mutation) -> Outcome:
    """Return what comes of one mutant."""
    text = mutation.apply(base.text)
    said = verdict(base, text)
    runs = Runs(base, text, said.modal)

    def outcome(truth: str, result: str, reason: str = "") -> Outcome:
        short = reason.splitlines()[0][:200] if reason else ""
        return Outcome(base.name, mutation, said.word, truth, result, short, said.codes, changed(base, mutation), base.conditional)

    if said.word == "crash":
        return outcome("none", "crash", said.messages[0])
    try:
        return _judged(base, mutation.start, said, runs, outcome)
    except Unknown as unknown:
        return outcome("unknown", "unknown", str(unknown))
    except Exception as error:  # noqa: BLE001  # one mutant that the oracle stumbles over must not end the run
        return outcome("unknown", "oracle crash", f"{type(error).__name__}: {error} {_place(error)}")


def changed(base: Base, mutation: Mutation) -> str:
    """Return what a mutant has instead of what, cut short."""
    old, new = base.text[mutation.start : mutation.end], mutation.text
    return " becomes ".join(f"`{' '.join(text.split())[:60]}`" if text.strip() else "nothing" for text in (old, new))


def _judged(base: Base, start: int, said: Verdict, runs: Runs, outcome: Any) -> Outcome:
    """Try sizes until a verdict is shown to be wrong, or all of them are tried."""
    ran, late, wrong = 0, 0, None
    fits: Counter[bool] = Counter()
    for sizes in tries(base, runs.text, said, fits):
        try:
            found = runs.at(sizes)
        except Outside:
            continue
        if found is not None and found.kind == "late":  # a fixed size that is as large as a symbol's looks like it: others are tried
            late, wrong = late + 1, found
            continue
        held = said.hold(sizes)
        fits[held] += 1
        if found is not None and found.kind == "values" and held:
            return outcome("values", "right" if said.word == "invalid" else "values", found.reason)
        elif found is not None and said.word == "invalid":
            return outcome("fails", "right", found.reason)
        elif found is not None and held:
            return outcome("fails", "false valid", f"{found.reason} at {shown(sizes, said)}")
        ran += found is None and held  # axes that happen to be 1 stretch in torch where a condition isn't met
        wrong = found or wrong
    if not fits and not late:
        return outcome("unknown", "unknown", "no sizes meet the requirements")
    if said.word == "invalid":
        return _refused(base, start, said, runs, outcome, bool(ran), wrong)
    return _accepted(said, outcome, ran, late, wrong)


def _accepted(said: Verdict, outcome: Any, ran: int, late: int, wrong: Wrong | None) -> Outcome:
    """Judge a verdict that no run contradicts: a condition is met at some sizes and not at others."""
    if late and not ran:
        sure = late > 1 and wrong is not None and wrong.kind == "late"
        reason = wrong.reason if wrong is not None else ""
        return outcome("fails", "false valid", reason) if sure else outcome("unknown", "unknown", "a fixed size is as large as a symbol's")
    if said.word == "conditional" and (wrong is None or not ran):
        return outcome("runs" if ran else "fails", "false condition", f"{[c.text for c in said.conditions]} is {'always' if ran else 'never'} met")
    return outcome("runs" if wrong is None else "depends", "right") if ran or wrong else outcome("unknown", "unknown", "no sizes fit")


def _refused(base: Base, start: int, said: Verdict, runs: Runs, outcome: Any, ran: bool, wrong: Wrong | None) -> Outcome:
    """Judge an error that no run showed: of sizes that come late, of two axes, of a block by itself; else it is false."""
    if not ran:
        return outcome("fails", "right", wrong.reason) if wrong is not None else outcome("unknown", "unknown", "no sizes meet the requirements")
    if runs.doubts:
        return outcome("fails", "right", str(runs.doubts))
    if all("index set" in m for m in said.messages):
        return outcome("unknown", "unknown", "an index set where a number stands, a rule of the language alone")
    if "A702" in said.codes:  # a fact about sizes holds at all of them, the large ones too
        for sizes in ({**base.sizes[0], name: n} for name in capitals(runs.text) for n in (1, 70, 1030)):
            with suppress(Outside):
                found = runs.at(sizes)
                if found is not None:
                    return outcome("fails", "right", found.reason)
    alone = runs.at(base.sizes[0], alone=True)
    if alone is not None:
        return outcome("fails", "right", alone.reason)
    return outcome("runs", "false invalid", "; ".join(said.messages))


def shown(sizes: Mapping[str, int], said: Verdict) -> str:
    names = said.program.eval.symbols if said.program is not None else sizes
    return ", ".join(f"{n} = {size_in(sizes, n)}" for n in names)
