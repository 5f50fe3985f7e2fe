"""Writing files whole, and saying so where that can't be done."""

from __future__ import annotations

import os

import click

from ..writing import write_file


def write_whole(path: str | os.PathLike[str], data: bytes, *, new: bool = False) -> None:
    """Write a file by way of a temporary one beside it; with `new`, never over one that is there already."""
    try:
        write_file(path, data, new)
    except FileExistsError:
        raise click.ClickException(f"`{path}` is there already: choose another name, or remove it first") from None
    except OSError as error:
        raise click.ClickException(f"`{path}` can't be written: {(error.strerror or str(error)).lower()}") from None
