"""`archloom explain`: what an error code means, or an operation, a library block or a pass does."""

from __future__ import annotations

import sys
import textwrap

import click
from click.shell_completion import CompletionItem

from ...dsl.catalogue import Entry, catalogue
from ...dsl.diagnostics import closest
from ...dsl.render import wants_colour
from ._printing import table

WIDTH = 96


def _normal(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Take a code in any case, with or without brackets: `A301`, `a301`, `[A301]`; other names as they are."""
    if value is None:
        return None
    word = value.strip("[] ")
    return word.upper() if word[1:].isdigit() else word


def _complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from ._topics import topics

    codes = [CompletionItem(code, help=entry.title) for code, entry in catalogue().items() if code.startswith(incomplete.upper())]
    return codes + [CompletionItem(name) for name in topics() if name.startswith(incomplete)]


@click.command("explain", short_help="Say what an error code means, or an operation, block or pass does.")
@click.argument("code", required=False, callback=_normal, shell_complete=_complete)
def command(code: str | None) -> None:
    """Explain an error CODE, an operation (softmax), a library block (llama.DecoderLayer) or a pass (cse).

    Without one, list all codes and passes; `passes` lists these with the pipelines.
    """
    entries = catalogue()
    if code is None:
        from ._topics import pass_rows

        print(table([[entry.code, entry.title] for entry in entries.values()]))
        print(table(pass_rows()), end="")
        return
    if code not in entries:
        from ._topics import topic, topics

        text = topic(code)
        if text is None:
            near = closest(code, [*entries, *topics()])
            raise click.ClickException(
                f"there is no code or operation `{code}`; " + (f"did you mean `{near}`?" if near else "`archloom explain` lists the codes")
            )
        print(text, end="")
        return
    print(_text(entries[code], wants_colour(sys.stdout)), end="")


def _text(entry: Entry, colour: bool) -> str:
    bold, dim, end = ("\x1b[1m", "\x1b[36m", "\x1b[0m") if colour else ("", "", "")
    parts = [f"{bold}{entry.code}: {entry.title}{end}", _wrapped(entry.meaning)]
    for head, example in (("wrong", entry.wrong), ("right", entry.right)):
        if example.strip():
            parts.append(f"{dim}{head}{end}\n\n{textwrap.indent(textwrap.dedent(example).strip(chr(10)), '    ')}")
    return "\n\n".join(parts) + "\n"


def _wrapped(text: str) -> str:
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False) for paragraph in paragraphs)
