"""What `--input name=value` takes, and what it says of what it doesn't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from archloom.compiler.cli._inputs import InputError, Reader
from archloom.dsl.dims import Dim, Symbol
from archloom.dsl.program import InputDecl, Role
from archloom.dsl.source import NOWHERE
from archloom.dsl.types import Axis, DType, TensorType

B, S, H, W = (Dim.of(Symbol(name)) for name in "BSHW")


def declare(name: str, dtype: DType, *shape: Axis, role: Role | None = None) -> InputDecl:
    return InputDecl(name, (), TensorType(dtype, shape), 0, NOWHERE, role)


PICTURE = declare("image", DType.FLOAT, B, 3, H, W, role=Role("picture", {"mean": 0.5, "std": 0.25}))
SMALL = declare("image", DType.FLOAT, B, 1, 4, 6, role=Role("picture", {}))
IDS = declare("ids", DType.INT, B, S, role=Role("tokens", {"vocab": 300}))
MASK = declare("mask", DType.BOOL, B, S)
X = declare("x", DType.FLOAT, B, 2)
N = declare("n", DType.INT, B)


def read(declared: list[InputDecl], written: dict[str, list[str]], sizes: dict[str, int] | None = None, tokenizer: str | None = None) -> Any:
    reader = Reader({one.key: one for one in declared}, sizes or {}, tokenizer)
    return reader.read(written), reader.notes


def test_a_picture_is_scaled_and_normalised(tmp_path: Path) -> None:
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    arrays, notes = read([PICTURE], {"image": [str(tmp_path / "p.png")]})
    expected = (pixels.transpose(2, 0, 1)[None] / 255 - 0.5) / 0.25
    np.testing.assert_allclose(arrays["image"], expected, atol=1e-6)
    assert arrays["image"].dtype == np.float32
    assert notes == []


def test_pictures_are_resized_to_a_declared_size_and_make_a_batch(tmp_path: Path) -> None:
    for name in "ab":
        Image.new("RGB", (12, 8), "white").save(tmp_path / f"{name}.png")
    arrays, notes = read([SMALL], {"image": [str(tmp_path / "a.png"), str(tmp_path / "b.png")]})
    np.testing.assert_allclose(arrays["image"], np.ones((2, 1, 4, 6)))
    assert notes[0] == f"image: {tmp_path}/a.png resized from 12 x 8 to 6 x 4"


def test_text_is_bytes_and_padded(tmp_path: Path) -> None:
    arrays, notes = read([IDS, MASK], {"mask": ["mask(ids)"], "ids": ["hé", "a"]})
    assert arrays["ids"].tolist() == [[104, 195, 169], [97, 0, 0]]
    assert arrays["mask"].tolist() == [[True, True, True], [True, False, False]]
    assert list(arrays) == ["mask", "ids"]
    assert notes == ["ids: text as bytes (no --tokenizer)"]
    (tmp_path / "lines.txt").write_text("hi\nyou\n")
    assert read([IDS], {"ids": [f"@{tmp_path}/lines.txt"]})[0]["ids"].shape == (2, 3)


def test_text_by_a_tokenizers_file(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer: Any = Tokenizer(WordLevel({"[PAD]": 7, "a": 1, "man": 2, "[UNK]": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_padding(pad_id=7, length=64)
    tokenizer.save(str(tmp_path / "t.json"))
    arrays, _ = read([IDS, MASK], {"ids": ["a man", "a"], "mask": ["mask(ids)"]}, tokenizer=str(tmp_path / "t.json"))
    assert arrays["ids"].tolist() == [[1, 2], [1, 7]]
    assert arrays["mask"].tolist() == [[True, True], [True, False]]


@given(st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), min_size=1, max_size=4))
def test_literals(rows: list[list[int]]) -> None:
    array = read([X], {"x": [json.dumps(rows)]})[0]["x"]
    assert (array.dtype, array.tolist()) == (np.float32, rows)


def test_one_number_fills_what_the_other_inputs_tell() -> None:
    arrays, _ = read([X, N], {"n": ["3"], "x": ["[[1, 2], [3, 4]]"]})
    assert arrays["n"].tolist() == [3, 3]
    assert read([N], {"n": ["3"]}, {"B": 4})[0]["n"].tolist() == [3] * 4


def test_array_files(tmp_path: Path) -> None:
    values = np.array([[1.0, 2.0]], dtype=np.float32)
    np.save(tmp_path / "x.npy", values)
    (tmp_path / "one.safetensors").write_bytes(save({"one": values}))
    (tmp_path / "two.safetensors").write_bytes(save({"x": values, "other": values + 1}))
    for text, expected in [("x.npy", 1), ("one.safetensors", 1), ("two.safetensors", 1), ("two.safetensors:other", 2)]:
        assert read([X], {"x": [f"{tmp_path}/{text}"]})[0]["x"][0, 0] == expected


def make_pickle(folder: Path) -> None:
    np.save(folder / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("declared", "text", "message"),
    [
        (X, "abc", "`abc` is no value"),
        (X, "[[1, 2], [3]]", "`[[1, 2], [3]]` is no value"),
        (X, '"words"', "an array of <U5 holds no numbers"),
        (X, "none.npy", "`none.npy` can't be read: No such file or directory"),
        (X, "pickle.npy", "`pickle.npy` is no array of numbers: Object arrays cannot be loaded"),
        (X, "cut.npy", "`cut.npy` is no array of numbers"),
        (X, "none.safetensors", "there is no file `none.safetensors`"),
        (X, "cut.safetensors", "`cut.safetensors` is no safetensors file"),
        (X, "two.safetensors", "there is no tensor `x` in `two.safetensors`\n  = help: it holds a, b; write two.safetensors:NAME"),
        (X, "cat.png", "`cat.png` is a picture, and the input doesn't say how to read one\n  = help: declare it `as picture(...)`"),
        (X, "3", "nothing tells the size B\n  = help: give it: --size B=..."),
        (N, "[0.5]", "is `int`, and there are fractions in it"),
        (MASK, "[[2]]", "is `bool`, and there are other values than 0 and 1"),
        (MASK, "mask(ids)", "`ids` is not given as text\n  = help: given as text: none is"),
        (PICTURE, "none.png", "there is no file `none.png`"),
        (PICTURE, "cut.npy", "`cut.npy` is no array of numbers"),
        (PICTURE, "words.png", "`words.png` is not a picture that can be read"),
        (IDS, "@none.txt", "`none.txt` can't be read as text"),
        (declare("ids", DType.INT, B, S, role=Role("tokens", {"vocab": 100})), "hi", "a vocabulary of 100 can't hold bytes"),
        (declare("image", DType.FLOAT, B, 5, H, W, role=Role("picture", {})), "cat.png", "`float[B, 5, H, W]` is no batch of pictures"),
        (declare("image", DType.FLOAT, B, 3, H, W, role=Role("picture", {"mean": [0, 1]})), "cat.png", "`mean` has 2 numbers for 3 channels"),
    ],
)
def test_what_is_refused(declared: InputDecl, text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    Path("cut.safetensors").write_bytes(b"\xff" * 20)
    Path("words.png").write_text("words")
    Image.new("RGB", (2, 2)).save("cat.png")
    Path("two.safetensors").write_bytes(save({"a": np.ones(1), "b": np.ones(1)}))
    make_pickle(tmp_path)
    with pytest.raises(InputError) as caught:
        read([declared], {declared.key: [text]})
    assert caught.value.format_message().startswith(f"input `{declared.key}`: {message}")
    assert caught.value.exit_code == 1
