"""A55x to A59x, what steps of training show: the codes of `archloom audit`."""

from __future__ import annotations

from typing import Final

from .entry import Entry


def _net(made: str = "", forward: str = "self.head(self.trunk(x)).mean()", trunk: str = "nn.Linear(4, 4)") -> str:
    lines = f"        {made}\n" if made else ""
    return (
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        f"        self.trunk = {trunk}\n"
        "        self.head = nn.Linear(4, 1)\n"
        f"{lines}\n"
        "    def forward(self, x):\n"
        f'        return {{"loss": {forward}}}\n'
    )


def _subject(more: str = "", *before: str) -> str:
    lines = "".join(f"    {line}\n" for line in ("net = Net()", *before))
    return f'\ndef subject():\n{lines}    return {{"model": net, "batch": {{"x": torch.randn(8, 4)}}{more}}}\n'


_NORM: Final = "nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())"
_DROPOUT: Final = "nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.1))"
_FREEZE: Final = "net.trunk.requires_grad_(False)"
_OFF: Final = "nn.init.constant_(self.trunk.bias, -100.0)"
_QUIET: Final = ', "prepare": lambda net: net.trunk.eval()'
_OPTIMIZER: Final = ', "optimizer": optimizer'

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        "A550",
        "what is frozen moves",
        "Steps of training changed a parameter that requires no gradient or that a `frozen` selector says is frozen; or it is said "
        "to be frozen, requires a gradient and is in an optimiser, which will move it.",
        _net() + _subject(', "frozen": ["trunk"]'),
        _net() + _subject(', "frozen": ["trunk"]', _FREEZE),
        python=True,
    ),
    Entry(
        "A551",
        "statistics of a frozen part move",
        "A batch norm whose parameters are frozen still takes the batch's statistics in training mode and moves its running ones, and with them "
        "what the model computes in evaluation. The same holds for any buffer of a frozen part. `prepare` is what the training loop does after "
        "`model.train()`.",
        _net(trunk=_NORM) + _subject("", _FREEZE),
        _net(trunk=_NORM) + _subject(_QUIET, _FREEZE),
        python=True,
    ),
    Entry(
        "A552",
        "dropout is live in a frozen part",
        "The part draws random numbers in training mode that it doesn't draw in evaluation: what is trained on isn't what is used later. It is a "
        "finding where the part comes before all that is trained, or is said to be frozen by a selector. Where trained parameters work inside of "
        "what is frozen, as adapters do, live dropout is a choice, and the table alone says it.",
        _net(trunk=_DROPOUT) + _subject("", _FREEZE),
        _net(trunk=_DROPOUT) + _subject(_QUIET, _FREEZE),
        python=True,
    ),
    Entry(
        "A553",
        "a gradient that is always zero",
        "A loss depends on the parameter, and no gradient reaches it, because every way goes through whole numbers, truths, rounding, `detach`, "
        "a factor of 0 or a choice of one (a softmax over one number, a loss over one class). In "
        "an audit also: the gradient is exactly zero at every step, on every batch, and again after all that is trained was moved at random, so "
        "that a factor that starts at zero (LoRA's B, a gate) is no finding.",
        _net(_OFF, "self.head(x + self.trunk(x).relu()).mean()") + _subject(),
        _net("", "self.head(x + self.trunk(x).relu()).mean()") + _subject(),
        python=True,
    ),
    Entry(
        "A554",
        "trained, and in no optimiser",
        "The parameter requires a gradient, and none of the optimisers holds it: it stays as it is. Often the optimiser was made before a head was "
        "added.",
        _net() + _subject(_OPTIMIZER, "optimizer = torch.optim.AdamW(net.trunk.parameters())"),
        _net() + _subject(_OPTIMIZER, "optimizer = torch.optim.AdamW(net.parameters())"),
        python=True,
    ),
    Entry(
        "A555",
        "frozen, and in the optimiser",
        "The optimiser holds parameters that require no gradient. It costs memory in some, and hides what is trained; a gradient left from before "
        "the freezing moves them.",
        _net() + _subject(_OPTIMIZER, _FREEZE, "optimizer = torch.optim.AdamW(net.parameters())"),
        _net() + _subject(_OPTIMIZER, _FREEZE, "optimizer = torch.optim.AdamW(net.head.parameters())"),
        python=True,
    ),
    Entry(
        "A556",
        "the optimiser holds what the model doesn't have",
        "A parameter of the optimiser is none of the model's and no loss reaches it: it was made for parameters that were replaced since, by a new "
        "head, an adapter, or another copy of the model.",
        _net()
        + _subject(
            _OPTIMIZER,
            "optimizer = torch.optim.AdamW(net.parameters())",
            "net.head = nn.Linear(4, 2)",
            "optimizer.add_param_group({'params': net.head.parameters()})",
        ),
        _net() + _subject(_OPTIMIZER, "net.head = nn.Linear(4, 2)", "optimizer = torch.optim.AdamW(net.parameters())"),
        python=True,
    ),
    Entry(
        "A557",
        "a loss without a gradient",
        "No trained parameter gets a gradient from the loss: the value was cut off (`detach`, `no_grad`, `.item()`, `argmax`), or all that it "
        "depends on is frozen.",
        _net("", "self.head(self.trunk(x)).mean().detach()") + _subject(),
        _net() + _subject(),
        python=True,
    ),
    Entry(
        "A558",
        "a loss that is no finite number",
        "The loss is infinite or not a number at its first step; so will all gradients be.",
        _net("", "self.head(self.trunk(x)).mean() / 0") + _subject(),
        _net() + _subject(),
        python=True,
    ),
    Entry(
        "A560",
        "no such function to audit",
        "`archloom audit module:function` imports the module, by name or as a `.py` file, and calls the function without arguments.",
        "archloom audit trian:subject",
        "archloom audit train:subject",
    ),
    Entry(
        "A561",
        "not what can be audited",
        "The function returns a model with a batch: a dict, an `archloom.Subject`, or a tuple of them. The model is a `torch.nn.Module` that has "
        "values.",
        'return {"model": net, "batches": [], "loss": "loss"}',
        'return {"model": net, "batch": batch, "losses": "loss"}',
    ),
    Entry(
        "A562",
        "the model can't be run",
        "The caller's own code raised an error: in the function that makes the subject, in the model, a loss or a step. The help names its line.",
        'return {"model": nn.Linear(4, 2), "batch": torch.randn(8, 5)}',
        'return {"model": nn.Linear(4, 2), "batch": torch.randn(8, 4)}',
    ),
    Entry(
        "A563",
        "no such loss in the output",
        "Losses are names in what the model returns (`loss`, `losses.depth`), or functions of the model and a batch. Without any the output's own "
        "`losses` or `loss` are taken, which transformers' models have when the batch has labels.",
        'return {"model": net, "batch": batch, "losses": ["los"]}',
        'return {"model": net, "batch": batch, "losses": lambda net, batch: net(batch["x"]).mean()}',
    ),
)
