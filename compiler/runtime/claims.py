"""Testing open claims: does a part of one value change with a part of another, by derivative or by trial?

`ignores` must hold exactly: every derivative is 0, and other values of the one part leave the other as it was to the last bit, which
finds the ways that have no derivative, such as `argmax`, a comparison, `detach`, whole numbers and masks.  `uses` wants one of the two
somewhere.  A claim of a block is tested in each of its calls, with the block's inputs as they come there and held fixed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from ...dsl.diagnostics import Diagnostic, Failure, Label, closest
from ...dsl.dims import Dim, Symbol
from ...dsl.program import Claim, Program
from ...dsl.record import record
from ...dsl.source import Span
from ..claims import Root, Site, Sites, Watch, roots
from ..lower.build import ExternMaker
from .assemble import apart
from .subject import CPU, Subject
from .trials import Case, Effect, Trials

STARTS = (0, 1, 3, 6, 9, 12, 16)
"""Where the sizes to try begin, until a claim was tested at two: its parts may be empty at small ones."""

SIZES_EACH = 2
LEAST_TRIES, MOST_TRIES = 2, 5
"""Samples of inputs at each size; the more while something that should be used seems not to be: a ReLU may have been dead."""


@record
class Tested:
    """A claim that held: its text and place, in how many calls it was tested, and at which sizes."""

    text: str
    span: Span
    times: int
    sizes: tuple[str, ...]

    def __str__(self) -> str:
        calls = f" in {self.times} calls" if self.times > 1 else ""
        sizes = "; ".join(filter(None, self.sizes))
        return f"{self.text}, tested{calls}{f' at {sizes}' if sizes else ''}"


def check_claims(program: Program, extern: ExternMaker, seed: int = 0, dims: Mapping[str, int] | None = None) -> tuple[Tested, ...]:
    """Test every open claim of a program; raises Failure with all that are broken, or that no test can decide.

    The model is built anew in float64 with random parameters, so that no zero hides a path.  `dims` fixes sizes by name; ValueError for
    a name that no input has.
    """
    program = apart(program)
    claiming = [(root, sites) for root in roots(program) if (sites := list(Sites(root.body)))]
    _known(dims or {}, roots(program))
    if not claiming:
        return ()
    borders = [root for root, _ in claiming]
    watch = Watch(borders)
    ledger = Ledger()
    with _apart_from_the_caller():
        subject = Subject(program, borders, watch, extern)
        for root, sites in claiming:
            Bench(subject, root, watch, sites, seed, dims or {}).test(ledger)
    broken = ledger.diagnostics()
    if broken:
        raise Failure(broken)
    return ledger.tested()


@contextmanager
def _apart_from_the_caller() -> Generator[None]:
    """Leave the caller's random numbers and default dtype as they were."""
    before, state = torch.get_default_dtype(), torch.random.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with CPU:
            yield
    finally:
        torch.set_default_dtype(before)
        torch.random.set_rng_state(state)


def _known(dims: Mapping[str, int], borders: Iterable[Root]) -> None:
    names = {s.name for root in borders for d in root.body.inputs for axis in d.type.shape if isinstance(axis, Dim) for s in axis.symbols()}
    for name in dims:
        if name not in names:
            near = closest(name, names)
            has = ", ".join(f"`{known}`" for known in sorted(names)) or "none"
            raise ValueError(f"no input has a size `{name}`{f', did you mean `{near}`' if near else ''}: the sizes are {has}")


# ---------------------------------------------------------------------------------------------------------- what came of it


@dataclass(slots=True)
class Ledger:
    """What came of every claim, by its place in the text."""

    found: dict[tuple[str, int], Diagnostic] = field(default_factory=dict[tuple[str, int], Diagnostic])
    held: dict[tuple[str, int], Tested] = field(default_factory=dict[tuple[str, int], Tested])

    def report(self, claim: Claim, diagnostic: Diagnostic) -> None:
        """Keep the first thing found about a claim."""
        self.found.setdefault(_place(claim), diagnostic)

    def is_open(self, claim: Claim) -> bool:
        """Tell whether nothing was found against a claim yet."""
        return _place(claim) not in self.found

    def holds(self, claim: Claim, times: int, sizes: str) -> None:
        """Keep that a claim held in some calls at some sizes."""
        before = self.held.get(_place(claim))
        known = before.sizes if before is not None else ()
        most = max(times, before.times) if before is not None else times
        self.held[_place(claim)] = Tested(claim.text, claim.span, most, known if sizes in known else (*known, sizes))

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what was found, in the order of the text."""
        return tuple(self.found[place] for place in sorted(self.found))

    def tested(self) -> tuple[Tested, ...]:
        """Return the claims that held, in the order of the text."""
        return tuple(self.held[place] for place in sorted(self.held) if place not in self.found)


def _place(claim: Claim) -> tuple[str, int]:
    return claim.span.source.name, claim.span.start


def _broken(case: Case, number: int, effect: Effect | None, where: str) -> Diagnostic:
    """Return the error for a claim that doesn't hold in one call."""
    claim = case.claim
    value, other = claim.value, claim.others[number]
    if effect is None:
        help = "no derivative is other than 0, and other values there change nothing here: check what it is computed from"
        labels = (Label(value.span, "none of this"), Label(other.span, "changes with any of this"))
        return Diagnostic("A704", f"`{value.text}` does not use `{other.text}`{where}", claim.span, labels, help)
    here = f"entry {list(effect.value)} of this" if effect.value else "this"
    entry = f"entry {list(effect.source)} of " if effect.source else ""
    there = f"changes with {entry}{f'`{effect.tensor}`' if effect.tensor else 'this'}"
    by = f", derivative {effect.derivative:.3g}" if effect.derivative is not None else ", by a way that has no derivative"
    labels = (Label(value.span, here), Label(other.span, there + by))
    help = "entries are counted in the whole tensors; check the masks and shifts between the two"
    return Diagnostic("A703", f"`{value.text}` does not ignore `{other.text}`{where}", claim.span, labels, help)


def _undecided(claim: Claim, why: str, help: str) -> Diagnostic:
    return Diagnostic("A706", f"`{claim.text}` can't be tested: {why}", claim.span, (), help)


# ------------------------------------------------------------------------------------------------------------------- testing

Pair = tuple[Claim, Site]


class Bench:
    """One root with all calls that claim something."""

    def __init__(self, subject: Subject, root: Root, watch: Watch, sites: Sequence[Site], seed: int, dims: Mapping[str, int]) -> None:
        self.subject, self.root, self.watch, self.seed, self.dims = subject, root, watch, seed, dims
        self.pairs = [(claim, site) for site in sites for claim in site.body.claims]

    def test(self, ledger: Ledger) -> None:
        """Test every claim in every call, at the first two sizes at which its parts are there."""
        done: dict[tuple[int, int], list[str]] = {_key(*pair): [] for pair in self.pairs}
        seen: list[Mapping[Symbol, int]] = []
        for start in STARTS:
            waiting = [pair for pair in self.pairs if len(done[_key(*pair)]) < SIZES_EACH and ledger.is_open(pair[0])]
            sizes = self.subject.sizes(self.root.body, self.dims, start) if waiting else {}
            if waiting and sizes not in seen:
                seen.append(sizes)
                self.subject.randomise(torch.Generator().manual_seed(self.seed + start))
                for case in Round(self, sizes, waiting, ledger).run():
                    done[_key(case.claim, case.site)].append(_text(sizes))
        tried = "; ".join(filter(None, map(_text, seen)))
        for claim, site in self.pairs:
            tested = done[_key(claim, site)]
            if not tested:
                why = f"a part is empty, or reaches beyond its tensor{f', at {tried}' if tried else ''}"
                ledger.report(claim, _undecided(claim, why, "give sizes at which both parts are there: `--size S=600`, `check_claims(S=600)`"))
            for text in tested:
                ledger.holds(claim, sum(other is claim for other, _ in self.pairs), text)

    def trials(self, sizes: Mapping[Symbol, int], number: int) -> Trials:
        """Return the runs on sample `number` of inputs; the next one tells what other values there may be."""
        samples = [self.subject.inputs(self.root.body, sizes, torch.Generator().manual_seed(self.seed + k)) for k in (number, number + 1)]
        return Trials(self.subject, self.root, self.watch, samples, self.seed + number)

    def where(self, case: Case, sizes: Mapping[Symbol, int]) -> str:
        """Say at which sizes, in which call and in which mode."""
        parts = [f"at {_text(sizes)}" if sizes else "", f"in `{case.site.prefix}`" if case.site.prefix else "", self.root.words]
        return "".join(f", {part}" for part in parts if part).replace(",", "", 1)


class Round:
    """The claims of a root at given sizes."""

    def __init__(self, bench: Bench, sizes: Mapping[Symbol, int], waiting: Sequence[Pair], ledger: Ledger) -> None:
        self.bench, self.sizes, self.waiting, self.ledger = bench, sizes, waiting, ledger
        self.unused: dict[tuple[int, int], Case] = {}  # of `uses`: nothing was seen to depend yet
        self.unmoved: dict[tuple[int, int, int], Case] = {}  # sources that have no other values

    def run(self) -> list[Case]:
        """Test on a few samples of inputs; return the cases whose parts are there."""
        cases: list[Case] = []
        for number in range(MOST_TRIES):
            if number >= LEAST_TRIES and not self.unused:
                break
            trials = self.bench.trials(self.sizes, number)
            cases = [case for pair in self.waiting if (case := trials.case(*pair)) is not None]
            if number == 0:
                self.unused = {_key(case.claim, case.site): case for case in cases if case.claim.relation == "uses"}
                self.unmoved = {(*_key(case.claim, case.site), j): case for case in cases for j in range(len(case.sources))}
            groups: dict[object, list[Case]] = {}
            for case in cases:
                waits = case.claim.relation == "ignores" or _key(case.claim, case.site) in self.unused
                if waits and self.ledger.is_open(case.claim) and self._is_sound(trials, case):
                    groups.setdefault(_about(case), []).append(case)
            for group in groups.values():
                self._group(trials, group, number)
        self._close()
        return cases

    def _is_sound(self, trials: Trials, case: Case) -> bool:
        """Tell whether a value holds numbers; report it otherwise."""
        if not torch.isnan(trials.value(case)[case.mask]).any():
            return True
        why = f"`{case.claim.value.text}` holds values that are no numbers{self.bench.where(case, self.sizes)}"
        self.ledger.report(case.claim, _undecided(case.claim, why, "see what makes them, such as a row without a place to attend to"))
        return False

    def _group(self, trials: Trials, group: Sequence[Case], number: int) -> None:
        """Test claims about the same parts, in all calls of their body, on one sample."""
        moved, changed = trials.changes(group, number)
        found = moved | trials.derivatives(group)
        for i, j in changed:
            self.unmoved.pop((*_key(group[i].claim, group[i].site), j), None)
        for i, j in sorted(found):
            case = group[i]
            self.unused.pop(_key(case.claim, case.site), None)
            if case.claim.relation == "ignores":
                self.ledger.report(case.claim, _broken(case, j, found[i, j], self.bench.where(case, self.sizes)))

    def _close(self) -> None:
        for (*key, j), case in self.unmoved.items():
            if case.claim.relation == "uses" and tuple(key) not in self.unused:
                continue  # another of its sources was seen to be used
            why = f"`{case.claim.others[j].text}` is the same whatever the inputs are{self.bench.where(case, self.sizes)}"
            self.ledger.report(case.claim, _undecided(case.claim, why, "claim it of what it is computed from"))
        for case in self.unused.values():
            self.ledger.report(case.claim, _broken(case, 0, None, self.bench.where(case, self.sizes)))


def _about(case: Case) -> object:
    """Return what a case changes: claims that change the same are tested in the same runs."""
    return id(case.site.body), tuple((part.source, str(part.items)) for part in case.claim.others)


def _key(claim: Claim, site: Site) -> tuple[int, int]:
    return id(claim), site.turn


def _text(sizes: Mapping[Symbol, int]) -> str:
    return ", ".join(f"{symbol.name} = {size}" for symbol, size in sizes.items())
