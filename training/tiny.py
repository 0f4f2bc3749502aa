"""Language models to train from scratch: a tokenizer made of a course, and random weights.

The model is of Qwen 3's architecture and saved as any model is, so that whatever loads Qwen 3
loads it. Covered: byte-level BPE, so that every text has tokens and comes back to the byte; a
ChatML template that marks the assistant's turns; equal files for equal course, seed and versions.
Not covered: training, and more of a large course than a sample of it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from novicegym.courses.model import Assignment, Course
from novicegym.courses.suite import CallCase, IOCase
from novicegym.dialogs.serialize import (
    DialogFormat,
    assistant_message,
    feedback_message,
    open_dialog,
)
from novicegym.errors import UsageError, unknown_name
from novicegym.grading.verdict import CaseResult, Outcome, Verdict

RECORD_FILE = "init.json"
"""Says what a model was made of; by it a directory is known as one of ours."""
CONTEXT = 8192
"""Largest number of tokens the models can read; rotary positions take no parameters."""
_PAD, _TURN, _END = _SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_SMALLEST_VOCABULARY = 256 + len(_SPECIAL_TOKENS)

# What the tokenizer sees of a large course. Its rarest tokens occur hundreds of times in this.
_TRAJECTORIES = 1000
_SUBMISSIONS = 20
_PROGRAM_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class ModelSize:
    """A Qwen 3 model's measures."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_dim: int
    intermediate: int


SIZES = {
    "1M": ModelSize(128, 4, heads=4, key_value_heads=2, head_dim=64, intermediate=384),
    "5M": ModelSize(256, 6, heads=4, key_value_heads=2, head_dim=64, intermediate=768),
    "20M": ModelSize(512, 6, heads=8, key_value_heads=4, head_dim=64, intermediate=1536),
    "85M": ModelSize(768, 12, heads=12, key_value_heads=4, head_dim=64, intermediate=2304),
}
"""By their parameters with a vocabulary of 2,048, 1M has 1.25.

Heads have 64 dimensions: Qwen 3 normalizes queries and keys, which bounds how far a head can prefer
one token to the others by the root of its width; copying takes a strong preference.
"""


@dataclass(frozen=True, slots=True)
class InitialModel:
    """What `init_model` made."""

    path: str
    parameters: int
    vocabulary: int
    """Tokens; fewer than asked for where the course has no more to offer."""


def init_model(
    course: Course,
    out: str | os.PathLike[str],
    *,
    size: str,
    vocabulary: int = 2048,
    seed: int = 0,
) -> InitialModel:
    """Write an untrained model of `size` and a tokenizer trained on the course to `out`.

    Replaces what an earlier call wrote there. Raises UsageError for a size that does not exist, a
    vocabulary too small for bytes, and a folder that holds other things.
    """
    if size not in SIZES:
        raise unknown_name("model size", size, SIZES)
    if vocabulary < _SMALLEST_VOCABULARY:
        raise UsageError(
            f"vocabulary must be at least {_SMALLEST_VOCABULARY} (one token for each byte, and "
            f"{len(_SPECIAL_TOKENS)} special ones), got {vocabulary}"
        )
    target = Path(out)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; a model is saved as a directory")
    if target.exists() and any(target.iterdir()) and not (target / RECORD_FILE).exists():
        raise UsageError(
            f"{target} is neither empty nor made by `novicegym model init` (it has no "
            f"{RECORD_FILE}): make the model in a folder of its own"
        )
    apart = target.absolute().parent / f".{target.absolute().name}.{os.getpid()}.tmp"
    try:
        apart.mkdir(parents=True)
        made = write_model(course_texts(course), apart, SIZES[size], vocabulary, seed)
        record = {"course": course.name, "size": size, "seed": seed, **asdict(made)}
        del record["path"]
        (apart / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        target.mkdir(exist_ok=True)
        # The record comes first: a folder that is left half written is known as ours.
        for file in sorted(apart.iterdir(), key=lambda file: file.name != RECORD_FILE):
            os.replace(file, target / file.name)
    finally:
        shutil.rmtree(apart, ignore_errors=True)
    return InitialModel(str(target), made.parameters, made.vocabulary)


def write_model(
    texts: Iterable[str], out: Path, size: ModelSize, vocabulary: int, seed: int
) -> InitialModel:
    """Write a model of any size and a tokenizer trained on `texts` to `out`."""
    try:
        import torch
        import transformers
        from transformers import Qwen3Config, Qwen3ForCausalLM
    except ImportError as error:
        raise UsageError(
            f"making a model needs {error.name}: pip install 'novicegym[train]'"
        ) from None
    tokenizer = _train_tokenizer(texts, vocabulary)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        head_dim=size.head_dim,
        max_position_embeddings=CONTEXT,
        # The usual 0.02 is meant for widths near a thousand; narrow models learn slowly from it.
        initializer_range=size.hidden**-0.5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    logging: Any = transformers.utils.logging
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a bar for one small file
    try:
        model.save_pretrained(out)
    finally:
        if bars:
            logging.enable_progress_bar()
    tokenizer.save_pretrained(out)
    return InitialModel(str(out), model.num_parameters(), len(tokenizer))


def course_texts(course: Course) -> Iterator[str]:
    """Yield the messages of a sample of the course's dialogs, as often as models will see them.

    Nothing is graded: what the grader says is made up, of each assignment's own tests.
    """
    fmt = DialogFormat()
    total = len(course.trajectories)
    taken = min(total, _TRAJECTORIES)
    answers: dict[str, list[str]] = {}
    for assignment in course.assignments.values():
        yield from (message["content"] for message in open_dialog(assignment, fmt))
        answers[assignment.id] = [
            feedback_message(verdict, fmt)["content"] for verdict in _verdicts(assignment)
        ]
    for index in range(taken):
        trajectory = course.trajectories[index * total // taken]
        assignment = course.assignment(trajectory.assignment_id)
        yield from (message["content"] for message in open_dialog(assignment, fmt))
        heard = answers[assignment.id]
        for number, submission in enumerate(islice(trajectory.submissions, _SUBMISSIONS)):
            yield assistant_message(submission.code[:_PROGRAM_CHARS], None, fmt)["content"]
            yield heard[(index + number) % len(heard)]


def _train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    bpe = Tokenizer(models.BPE())
    # Qwen's way to cut text into words. Not its normalizer, which changes some characters.
    bpe.pre_tokenizer = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(_SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=bpe, eos_token=_END, pad_token=_PAD, model_max_length=CONTEXT)
    tokenizer.chat_template = _chat_template()
    return tokenizer


@cache
def _chat_template() -> str:
    return files("novicegym.training").joinpath("chatml.jinja").read_text(encoding="utf-8")


_ERRORS: tuple[tuple[Outcome, str], ...] = (
    ("logical", ""),
    ("runtime", "line 3\n    print(total)\nNameError: name 'total' is not defined"),
    ("logical", ""),
    (
        "runtime",
        "line 12\n    n = int(text)\nValueError: invalid literal for int() with base 10: ''",
    ),
    (
        "compile",
        "line 2\n    for i in range(10)\n                      ^\nSyntaxError: expected ':'",
    ),
    ("logical", ""),
    ("runtime", "line 8\n    last = values[i]\nIndexError: list index out of range"),
    (
        "runtime",
        "line 5\n    s = s + x\nTypeError: unsupported operand type(s) for +: 'int' and 'str'",
    ),
    ("compile", "line 6\n    print((a + b)\n         ^\nSyntaxError: '(' was never closed"),
    ("logical", ""),
    ("runtime", "line 4\n    words.add(w)\nAttributeError: 'list' object has no attribute 'add'"),
    ("compile", "line 9\n        return x\nIndentationError: unexpected indent"),
    ("timeout", ""),
    ("runtime", "line 10\n    mean = total / count\nZeroDivisionError: division by zero"),
    ("runtime", "line 7\n    line = input()\nEOFError: EOF when reading a line"),
    ("compile", "line 1\n    else if x > 0:\n         ^^\nSyntaxError: invalid syntax"),
)
"""What novices run into, as the grader tells it."""


def _verdicts(assignment: Assignment) -> Iterator[Verdict]:
    """Yield verdicts as programs for this assignment might get them."""
    cases = assignment.tests.cases
    passed = [_case(case, number, "correct", "", "") for number, case in enumerate(cases, 1)]
    yield Verdict(Fraction(1), "correct", tuple(passed))
    for kind, (outcome, error) in enumerate(_ERRORS):
        right = kind % max(1, len(cases))
        wrong = [
            _case(case, number, outcome, _answer(cases[number - 2]), error)
            for number, case in enumerate(cases[right:], right + 1)
        ]
        yield Verdict(
            Fraction(right, len(cases) or 1),
            outcome,
            (*passed[:right], *wrong),
            error if outcome == "compile" or not cases else "",
        )


def _case(
    case: CallCase | IOCase, number: int, outcome: Outcome, actual: str, error: str
) -> CaseResult:
    given = case.stdin.rstrip("\n") + "\n" if isinstance(case, IOCase) else case.call
    name = case.name or f"test {number}"
    said = "" if error else actual
    return CaseResult(name, outcome == "correct", outcome, given, _answer(case), said, error)


def _answer(case: CallCase | IOCase) -> str:
    return case.stdout if isinstance(case, IOCase) else repr(case.expected)
