from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from novicegym.dialogs.counters import make_counter
from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.windows import fit_window
from novicegym.errors import UsageError

DIALOG: Dialog = [
    {"role": "system", "content": "You are a student."},
    {"role": "user", "content": "Add two numbers."},
    {"role": "assistant", "content": "```python\na + b\n```"},
    {"role": "user", "content": "Tests passed: 0 of 4"},
]


def test_words_counter_counts_and_pickles() -> None:
    counter = pickle.loads(pickle.dumps(make_counter("words")))
    assert counter.count(DIALOG) == [7, 6, 8, 8]
    assert counter.measure(DIALOG, generation_prompt=True) == 31


@pytest.mark.parametrize("spec", ["letters", "hf", "hf:", ""])
def test_unknown_counter_is_an_error(spec: str) -> None:
    with pytest.raises(UsageError, match="words"):
        make_counter(spec)


def test_tokenizer_counter_agrees_with_its_chat_template(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs novicegym[train]")
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=model, unk_token="[UNK]")
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer.save_pretrained(tmp_path)
    counter = make_counter(f"hf:{tmp_path}")
    whole = tokenizer.apply_chat_template(DIALOG, add_generation_prompt=True, return_dict=False)
    window = fit_window(DIALOG, len(whole), counter, generation_prompt=True)
    assert window is not None
    assert (window.tokens, window.dropped) == (len(whole), 0)
    smaller = fit_window(DIALOG, len(whole) - 1, counter, generation_prompt=True)
    assert smaller is not None
    assert smaller.dropped == 2
