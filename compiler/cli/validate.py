"""`archloom validate`: another name of `check`."""

from __future__ import annotations

import copy

from .check import command as check

command = copy.copy(check)
command.short_help = "The same as check."
