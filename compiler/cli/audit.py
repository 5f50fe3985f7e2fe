"""`archloom audit`: what is wrong with the training of a PyTorch model."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ...dsl.diagnostics import Severity
from ...dsl.render import wants_colour
from . import _options as options
from ._printing import show_json, width_of
from ._progress import busy

if TYPE_CHECKING:
    from ..audit.report import Audit

LEVELS = [severity.value for severity in Severity]
NEVER = "never"


def _target(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, str]:
    module, colon, function = value.rpartition(":")
    if not colon or not module or not function.isidentifier():
        raise click.BadParameter(f"`{value}` is not of the form module:function", ctx, parameter)
    return module, function


class _Lent(io.TextIOBase):
    """A stream to print to that can't be closed."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str, /) -> int:
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()


@click.command("audit", short_help="Find what is wrong with the training of a PyTorch model.")
@click.argument("target", metavar="MODULE:FUNCTION", callback=_target)
@click.option("--frozen", multiple=True, metavar="SELECTOR", help="Parameters that are meant to stand still; may be repeated.")
@click.option("--select", multiple=True, metavar="SELECTOR", help="Say what a selector matches; may be repeated.")
@click.option("--checkpoint", metavar="PATH", type=click.Path(), help="Safetensors to hold the model's names and shapes against.")
@click.option("--steps", metavar="N", type=click.IntRange(1), help="How many steps to train, four if nothing else is said.")
@click.option(
    "--fail-on", type=click.Choice([*LEVELS, NEVER]), default="warning", show_default=True, help="The least finding that makes the exit code 1."
)
@options.json
@click.pass_context
def command(ctx: click.Context, target: tuple[str, str], fail_on: str, as_json: bool, **chosen: Any) -> None:
    """Train any torch.nn.Module for some steps and say what its losses don't reach, what moves though frozen, what is fed in vain.

    FUNCTION takes no argument and returns {"model": model, "batch": batch}, or an archloom.Subject, with losses, optimizer, frozen,
    checkpoint and more where there are any.  MODULE is a module's name, or a .py file.  No .arch file is needed.  The model isn't changed.
    """
    # what the model's own code prints is no part of the report, and a stream that it replaces or closes comes back
    with (
        busy("importing torch") as say,
        redirect_stderr(_Lent(sys.stderr)),
        redirect_stdout(_Lent(sys.stderr)),
    ):
        try:
            import_module("torch")
        except ImportError:
            raise click.ClickException('`audit` needs torch, which is not installed\n  = help: pip install "archloom[torch]"') from None
        from ..audit.loading import importable, load
        from ..audit.run import audited
        from ..audit.subject import patterns

        with importable(Path.cwd()):
            say(f"calling {target[1]}")
            subject = load(*target)
            added = {name: (*patterns(getattr(subject, name)), *chosen[name]) for name in ("frozen", "select")}
            given = {name: chosen[name] for name in ("checkpoint", "steps") if chosen[name] is not None}
            say("training some steps")
            found = audited(replace(subject, **added, **given))
    if as_json:
        show_json(found.to_json())
    else:
        print(found.text(width_of(sys.stdout), wants_colour(sys.stdout)), end="")
    sys.stdout.flush()
    ctx.exit(_fails(found, fail_on))


def _fails(found: Audit, level: str) -> bool:
    """Tell whether any finding is as bad as the level that was asked for."""
    worst = found.worst()
    return level != NEVER and worst is not None and LEVELS.index(worst.value) <= LEVELS.index(level)
