"""The command line: every module of this folder without a leading underscore holds one command, `command`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules

import click

from ...dsl.diagnostics import Failure, closest
from ...dsl.source import HIDDEN

INTERRUPTED = 130
UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What a stream says that takes no more."""


class Commands(click.Group):
    """Finds commands by their files, and imports only the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found = import_module(f".{cmd_name}", __name__).command
        return found if isinstance(found, click.Command) else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            near = closest(name, self.list_commands(ctx))
            advice = f"; did you mean `{near}`?" if near else ""
            raise click.UsageError(f"there is no command `{name}`{advice}", ctx)
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from ... import __version__

        click.echo(f"archloom {__version__}")
        ctx.exit()


ROOT = Commands(
    name="archloom",
    help="Check, count and run multi-task and multimodal networks written as .arch files.",
    epilog="Exit codes: 0 all is well, 1 something in the input is wrong, 2 the command was called wrongly.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    params=[
        click.Option(["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show the version and exit."),
    ],
)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; nothing but the code and printed text comes out of it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open as long as the process is
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        code = _guarded(list(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _unread()
    except OSError as error:
        print(f"error: can't write the answer: {(error.strerror or 'unknown reason').lower()}", file=sys.stderr)
        return _unread()


def _unread() -> int:
    """Keep the interpreter's own flush at exit from failing too, as nobody reads what is printed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _guarded(arguments: list[str]) -> int:
    try:
        result = ROOT.main(arguments, prog_name="archloom", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        _show_click(error)
        return error.exit_code
    except Failure as failure:
        from ...dsl.render import to_json
        from ._printing import show, show_json

        show(failure.diagnostics, sys.stderr)
        if "--json" in arguments:
            show_json({"ok": False, "diagnostics": [to_json(diagnostic) for diagnostic in failure.diagnostics]})
        return 1
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None and error.errno in UNWRITTEN:
            raise
        return _failed(error)
    except Exception as error:  # noqa: BLE001  # the last resort: a person never meets a traceback
        return _failed(error)


def _failed(error: Exception) -> int:
    """Print where archloom itself failed; raises the error where its trace is asked for."""
    if os.environ.get("ARCHLOOM_TRACEBACK"):
        raise error
    print(_internal(error), file=sys.stderr)
    return 1


def _show_click(error: click.ClickException) -> None:
    """Print an error of the command line the way diagnostics look."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    from ...dsl.render import printable

    lines = ["error: " + "\n".join(map(printable, error.format_message().split("\n")))]
    if isinstance(error, click.UsageError) and error.ctx is not None:
        lines += [f"  = usage: {error.ctx.get_usage().removeprefix('Usage: ')}", f"  = help: `{error.ctx.command_path} --help` says more"]
    print("\n".join(lines), file=sys.stderr)


def _internal(error: Exception) -> str:
    """Say where archloom itself failed, and what to do."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "unknown place"
    text = HIDDEN.sub("\ufffd", " ".join(str(error).split()))[:500]
    if isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text:
        return (
            "error: there is not enough memory for this\n  = help: make the sizes smaller with `--param`; `archloom summary` says what a model needs"
        )
    return (
        f"error: archloom failed at {place}: {type(error).__name__}: {text}\n"
        "  = help: this is a fault of archloom; report it with the file, `ARCHLOOM_TRACEBACK=1` shows the whole trace"
    )
