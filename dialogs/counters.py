"""Token counters by name, so that a configuration can hold them as text.

"words": 3 a message and 1 a word, for trying things without a tokenizer.
"hf:PATH": the chat template of a Hugging Face tokenizer, a directory or a model id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from novicegym.dialogs.serialize import Dialog, Message
from novicegym.dialogs.windows import MessageCounter, TemplateCounter, TokenCounter
from novicegym.errors import UsageError


def make_counter(spec: str) -> TokenCounter:
    """Return the counter a spec names; UsageError for any other, or without transformers."""
    if spec == "words":
        return MessageCounter(_words, generation_prompt=2)
    kind, _, path = spec.partition(":")
    if kind == "hf" and path:
        return TemplateCounter(_Tokenizer(path))
    raise UsageError(f"unknown token counter {spec!r}; known: 'words', 'hf:PATH'")


def _words(message: Message) -> int:
    return 3 + len(message["content"].split())


class _Tokenizer:
    """Renders a dialog to token ids with a tokenizer's chat template."""

    def __init__(self, path: str) -> None:
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise UsageError(
                f"the token counter 'hf:{path}' needs transformers: pip install 'novicegym[train]'"
            ) from None
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)

    def __call__(self, dialog: Dialog, generation_prompt: bool) -> Sequence[int]:
        ids: Sequence[int] = self._tokenizer.apply_chat_template(
            dialog, add_generation_prompt=generation_prompt, return_dict=False
        )
        return ids
