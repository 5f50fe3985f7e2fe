"""Batches of mixed tasks: each sample goes to its own task, and what the tasks answer comes back in the order of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...dsl.diagnostics import closest


class ByTask:
    """Says which rows of a batch belong to which task.

    A model whose inputs are families over its tasks (`in ids: int[B[t], S[t]]`) takes the rows of each task as one batch.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        if not tasks:
            raise ValueError("there is no sample: give the task of each")
        self.tasks = tuple(tasks)
        self.rows = {task: torch.tensor([i for i, own in enumerate(self.tasks) if own == task]) for task in dict.fromkeys(self.tasks)}

    def pick(self, task: str, value: Tensor) -> Tensor:
        """Return the rows of one task, `[B, ...]` to `[B[task], ...]`; raises KeyError for a task that no sample has."""
        if task not in self.rows:
            near = closest(task, self.rows)
            raise KeyError(f"no sample belongs to the task `{task}`{f', did you mean `{near}`?' if near else ''}")
        if value.shape[:1] != (len(self.tasks),):
            raise ValueError(f"a tensor of {len(self.tasks)} rows is split, not one of shape {list(value.shape)}")
        return value[self.rows[task].to(value.device)]

    def split(self, **values: Tensor) -> dict[str, dict[str, Tensor]]:
        """Return the rows of each task that has some, by input and task: `model(**routed.split(ids=ids, mask=mask))`."""
        return {name: {task: self.pick(task, value) for task in self.rows} for name, value in values.items()}

    def join(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return what each task gives, `[B[task], ...]`, as one tensor `[B, ...]` in the order of the samples.

        Raises ValueError for a task without a value, or for values that differ in more than their rows.
        """
        missing = [task for task in self.rows if task not in values]
        if missing:
            raise ValueError(f"there is no value for {', '.join(f'`{task}`' for task in missing)}")
        parts = {task: values[task] for task in self.rows}
        if len({(value.shape[1:], value.dtype) for value in parts.values()}) > 1:
            shapes = ", ".join(f"`{task}` {list(value.shape)} {value.dtype}" for task, value in parts.items())
            raise ValueError(f"the values of the tasks differ in more than their rows: {shapes}")
        order = torch.cat(list(self.rows.values())).argsort()
        joined = torch.cat(list(parts.values()))
        if len(joined) != len(self.tasks):
            raise ValueError(f"the values have {len(joined)} rows, and there are {len(self.tasks)} samples")
        return joined[order.to(joined.device)]


def by_task(tasks: Sequence[str]) -> ByTask:
    """Route a batch of mixed tasks by sample; `tasks` names the task of each row."""
    return ByTask(tasks)
