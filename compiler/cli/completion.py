"""`archloom completion`: tab completion for the shell."""

from __future__ import annotations

import click


@click.command("completion", short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that makes SHELL complete archloom's commands, options and files.

    \b
    bash:  archloom completion bash >> ~/.bashrc
    zsh:   archloom completion zsh >> ~/.zshrc
    fish:  archloom completion fish > ~/.config/fish/completions/archloom.fish
    """
    from click.shell_completion import get_completion_class

    from . import ROOT

    writer = get_completion_class(shell)
    if writer is None:
        raise click.UsageError(f"there is no completion for `{shell}`")
    instance = writer(ROOT, {}, "archloom", "_ARCHLOOM_COMPLETE")
    click.echo(instance.source_template % instance.source_vars())
