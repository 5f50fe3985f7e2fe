"""`archloom new`: a first file."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ..sources import SUFFIX
from ._writing import write_whole

TEMPLATE = '''\
model {model}(features: int = 32, width: int = 64, classes: int = 10) {{
  """One trunk, shared by two tasks; a head for each."""
  index tasks = {{color, shape}}
  in x: float[B, features]
  trunk = Linear(features, width)
  h = relu(trunk(x))
  for t in tasks {{
    task t {{
      target label: int[B] in 0..classes
      head = Linear(width, classes)
      out logits = head(h)
      loss error = cross_entropy(logits, label)
    }}
  }}
}}
'''


@click.command("new", short_help="Write a first file that checks.")
@click.argument("name")
def command(name: str) -> None:
    """Write NAME.arch: a small model of one trunk and two tasks.  A file that is there already is never overwritten."""
    path = Path(name if name.endswith(SUFFIX) else name + SUFFIX)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", path.stem):
        raise click.BadParameter(f"`{path.stem}` can't name a model: write a letter, then letters, digits, `_` or `-`", param_hint="NAME")
    title = "".join(part[0].upper() + part[1:] for part in re.split(r"[-_]+", path.stem) if part)
    write_whole(path, TEMPLATE.format(model=title).encode(), new=True)
    click.echo(f"wrote {path}; next: archloom check {path}")
