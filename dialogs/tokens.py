"""A dialog as token ids, each message tokenized once: what models train on and are asked.

The ids of a dialog are those of its messages, one after the other, so that every window of a
dialog is a cut through one list of ids and nothing is tokenized twice. That asks two things of a
chat template, and `DialogTokenizer` tests both before it trusts one: a message is rendered alike
wherever it stands, and an assistant message begins with the generation prompt. Qwen 3's own
template does neither (it writes an empty thinking block before the last answer only). Such a
template is replaced by TRL's training variant, which is saved with the model, so that a model is
asked in the words it was trained in. Thinking is off.

A model's turn is what follows the generation prompt, up to and with the token that ends a turn.
It alone may carry loss. Not covered: contents that hold special tokens, tools, images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from novicegym.dialogs.serialize import Dialog
from novicegym.dialogs.windows import preamble_length, probes
from novicegym.errors import UsageError

_CACHED = 4096
"""Messages remembered: assignments come back for every student, and feedback repeats."""
_OPENING: Dialog = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
_ANSWERED: Dialog = [*_OPENING, {"role": "assistant", "content": "a"}]


@dataclass(frozen=True, slots=True)
class EncodedMessage:
    """The token ids of one message."""

    ids: tuple[int, ...]
    turn: tuple[int, int] = (0, 0)
    """Where in `ids` the model's turn begins and ends; (0, 0) where the message is not its own."""


class DialogTokenizer:
    """Turns dialogs into token ids with a Hugging Face tokenizer and its chat template.

    It is a `windows.TokenCounter`, too. Raises UsageError for a tokenizer without a chat template,
    and for a template that cannot be trained on and that TRL has no training variant of.
    """

    additive = True

    def __init__(self, tokenizer: Any) -> None:
        """tokenizer: a PreTrainedTokenizerBase; its chat template may be replaced."""
        self.tokenizer = tokenizer
        self._preamble = lru_cache(_CACHED)(self._encode_preamble)
        self._message = lru_cache(_CACHED)(self._encode_message)
        from jinja2 import TemplateError  # of transformers; no dependency of ours

        if not tokenizer.chat_template:
            raise UsageError(
                f"the tokenizer {tokenizer.name_or_path!r} has no chat template; use an instruct "
                "model, or make one with `novicegym model init`"
            )
        try:
            if not self._consistent():
                tokenizer.chat_template = _training_template(tokenizer)
                if not self._consistent():
                    raise _unfit(tokenizer)
        except TemplateError as error:  # some refuse a system message
            raise UsageError(
                f"the chat template of {tokenizer.name_or_path!r} refuses our dialogs: {error}"
            ) from None

    @property
    def generation_prompt(self) -> int:
        """Tokens of the generation prompt."""
        return len(self._asking)

    @property
    def takes_empty_turns(self) -> bool:
        """Whether the model may have said nothing: some templates refuse an empty message."""
        from jinja2 import TemplateError

        try:
            self.turn("")
        except TemplateError:
            return False
        return True

    def encode(self, dialog: Dialog) -> list[EncodedMessage]:
        """Return each message's tokens; the preamble's stand all on its last message."""
        first = preamble_length(dialog)
        preamble = tuple((message["role"], message["content"]) for message in dialog[:first])
        return [
            *[EncodedMessage(())] * (first - 1),
            EncodedMessage(self._preamble(preamble)),
            *(self._message(message["role"], message["content"]) for message in dialog[first:]),
        ]

    def prompt(self, dialog: Dialog) -> list[int]:
        """Return the ids of the dialog and of the prompt for the model's next turn."""
        messages = (message.ids for message in self.encode(dialog))
        return [*chain.from_iterable(messages), *self._asking]

    def turn(self, content: str) -> list[int]:
        """Return the ids of a model's turn that says `content`, with the token that ends it."""
        message = self._message("assistant", content)
        begin, end = message.turn
        return list(message.ids[begin:end])

    def text(self, turn: Sequence[int]) -> str:
        """Return what a model's turn says, up to the token that ends it if there is one."""
        ids = list(turn)
        if self.end_id in ids:
            ids = ids[: ids.index(self.end_id)]
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def count(self, dialog: Dialog) -> list[int]:
        """Return each message's number of tokens."""
        return [len(message.ids) for message in self.encode(dialog)]

    def measure(self, dialog: Dialog, generation_prompt: bool = False) -> int:
        """Return the tokens of the whole dialog."""
        return sum(self.count(dialog)) + generation_prompt * self.generation_prompt

    def _consistent(self) -> bool:
        """Whether the template does what the module's text asks, on dialogs made to provoke it."""
        opening, asking = self._render(_OPENING), self._render(_OPENING, ask=True)
        answered = self._render(_ANSWERED)
        if not (asking.startswith(opening) and answered.startswith(asking)):
            return False
        self._asking = self._ids(asking.removeprefix(opening))
        self._frames = {"assistant": (_OPENING, opening), "user": (_ANSWERED, answered)}
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        ends = [token for token in self._ids(answered.removeprefix(asking)) if token in special]
        if not ends:
            return False
        self.end_id: int = ends[-1]
        """The token that ends a turn."""
        self._preamble.cache_clear()
        self._message.cache_clear()
        for dialog in probes():
            asked = dialog[-1]["role"] == "user"
            ids = self._ids(self._render(dialog, ask=asked))
            parts = self.encode(dialog)
            if [*chain(*(part.ids for part in parts)), *(self._asking if asked else ())] != ids:
                return False
            for message, part in zip(dialog, parts, strict=True):
                begin, end = part.turn
                said = self.text(part.ids[begin:end])
                if message["role"] == "assistant" and said.strip() != message["content"].strip():
                    return False
        return True

    def _encode_preamble(self, messages: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
        dialog: Dialog = [{"role": role, "content": content} for role, content in messages]
        return tuple(self._ids(self._render(dialog)))

    def _encode_message(self, role: str, content: str) -> EncodedMessage:
        frame, before = self._frames["assistant" if role == "assistant" else "user"]
        rendered = self._render([*frame, {"role": role, "content": content}])
        ids = tuple(self._ids(rendered.removeprefix(before)))
        if role != "assistant":
            return EncodedMessage(ids)
        end = len(ids) - ids[::-1].index(self.end_id)
        return EncodedMessage(ids, (self.generation_prompt, end))

    def _render(self, dialog: Dialog, ask: bool = False) -> str:
        text: str = self.tokenizer.apply_chat_template(
            dialog, add_generation_prompt=ask, tokenize=False, enable_thinking=False
        )
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _training_template(tokenizer: Any) -> str:
    try:
        from trl.chat_template_utils import get_training_chat_template
    except ImportError:
        raise UsageError(
            f"the chat template of {tokenizer.name_or_path!r} cannot be trained on as it is; "
            "TRL has training variants of many: pip install 'novicegym[train]'"
        ) from None
    try:
        return get_training_chat_template(tokenizer) or str(tokenizer.chat_template)
    except ValueError:
        raise _unfit(tokenizer) from None


def _unfit(tokenizer: Any) -> UsageError:
    return UsageError(
        f"the chat template of {tokenizer.name_or_path!r} renders a message differently by where "
        "it stands, and TRL has no training variant of it; give the tokenizer a template that "
        "begins every assistant message with the generation prompt"
    )
