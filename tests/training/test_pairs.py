"""Preference pairs: which are mined, and that both sides share one window that cuts nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.courses.syntax import same_ast
from novicegym.dialogs.extract import extract_code
from novicegym.dialogs.serialize import DialogFormat, parse_dialog, serialize
from novicegym.dialogs.tokens import DialogTokenizer
from novicegym.errors import UsageError
from novicegym.grading.verdict import Verdict
from novicegym.training.logged import LoggedDialog
from novicegym.training.pairs import STRATEGIES, Pair, encode_pairs, mine_pairs
from novicegym.training.recipes import Strategy

CODE = DialogFormat()
ADD = Assignment("add", "Add", "Add two numbers.", TestSuite(cases=(CallCase("add(1, 2)", 3),)))


def logged(
    grades: list[Fraction], codes: list[str] | None = None, student: str = "ann", fmt=CODE
) -> LoggedDialog:
    """A trajectory of these grades; submission n assigns n."""
    codes = codes or [f"a = {n}" for n in range(len(grades))]
    verdicts = [Verdict(grade, "correct" if grade == 1 else "logical") for grade in grades]
    dialog = serialize(ADD, list(zip(codes, verdicts, strict=True)), fmt)
    return LoggedDialog(student, "add", tuple(codes), tuple(verdicts), dialog)


GRADES = st.lists(st.sampled_from([Fraction(n, 3) for n in range(4)]), min_size=0, max_size=9)


def mined(one: LoggedDialog, **options: object) -> list[Pair]:
    """The pairs; none is no error here."""
    try:
        return mine_pairs([one], **options)  # type: ignore[arg-type]
    except UsageError:
        return []


def by_the_formula(grades: list[Fraction], first: int) -> list[tuple[int, int]]:
    """(t, k*) as the paper writes it, submissions numbered from 1."""
    v = dict(enumerate(grades, start=1))
    pairs = []
    for t in range(first, len(grades) + 1):
        differing = [k for k in range(2, len(grades) - t + 1) if v[t + k] != v[t + 1]]
        if differing:
            pairs.append((t, min(differing)))
    return pairs


@given(grades=GRADES, first=st.booleans())
def test_grade_takes_the_formulas_k_at_every_position(grades: list[Fraction], first: bool) -> None:
    one = logged(grades)
    pairs = mined(one, first_submission=first)
    assert [(pair.t, pair.k) for pair in pairs] == by_the_formula(grades, 0 if first else 1)
    for pair in pairs:
        assert (pair.chosen_code, pair.chosen_grade) == (f"a = {pair.t}", grades[pair.t])
        rejected = pair.t + pair.k - 1
        assert (pair.rejected_code, pair.rejected_grade) == (f"a = {rejected}", grades[rejected])
        assert (pair.student_id, pair.assignment_id) == ("ann", "add")
        shown = [turn.code for turn in parse_dialog(pair.dialog, CODE)]
        assert shown == list(one.codes[: pair.t])
        assert pair.dialog[-1]["role"] == "user"


def test_grades_are_compared_exactly() -> None:
    near = Fraction(2, 3), Fraction(2 / 3)
    assert float(near[0]) == float(near[1])
    [pair] = mine_pairs([logged([Fraction(0), *near])])
    assert (pair.chosen_grade, pair.rejected_grade) == near
    with pytest.raises(UsageError, match="has the grade of the chosen one"):
        mine_pairs([logged([Fraction(0), Fraction(4, 6), Fraction(2, 3)])])


@pytest.mark.parametrize(("key", "first"), [("pairs_t_ge_1", False), ("pairs_t_ge_0", True)])
def test_the_papers_formula_gives_the_golden_pairs(shared: Path, key: str, first: bool) -> None:
    golden = json.loads((shared / "golden" / "preference_pairs.json").read_text(encoding="utf-8"))
    # In one dialog an answer holds no program, which no log does: that is no choice to learn from.
    without = [
        (entry["user_id"], entry["problem_id"])
        for entry in golden["trajectories"]
        if any(m["role"] == "assistant" and "```" not in m["content"] for m in entry["messages"])
    ]
    assert without == [("S054", "isPunctuation")]
    trajectories = [
        replace(
            logged([Fraction(grade, 100) for grade in entry["grades"]]),
            student_id=entry["user_id"],
            assignment_id=entry["problem_id"],
        )
        for entry in golden["trajectories"]
        if (entry["user_id"], entry["problem_id"]) not in without
    ]
    pairs = mine_pairs(trajectories, first_submission=first)
    assert [
        {
            "user_id": pair.student_id,
            "problem_id": pair.assignment_id,
            "t": pair.t,
            "chosen_submission": pair.t + 1,
            "rejected_submission": pair.t + pair.k,
            "k": pair.k,
        }
        for pair in pairs
    ] == [pair for pair in golden[key] if (pair["user_id"], pair["problem_id"]) not in without]
    assert len(pairs) == {"pairs_t_ge_1": 42, "pairs_t_ge_0": 55}[key]


TEN = logged([Fraction(0)] * 10)


def test_next_rejects_two_after_the_chosen_one() -> None:
    pairs = mine_pairs([TEN], strategy="next")
    assert [(pair.t, pair.k) for pair in pairs] == [(t, 3) for t in range(1, 8)]
    assert mine_pairs([TEN], strategy="next", first_submission=True)[0].t == 0


def test_random_rejects_any_from_three_after_the_chosen_one() -> None:
    students = [replace(TEN, student_id=f"s{n}") for n in range(300)]
    pairs = mine_pairs(students, strategy="random", seed=1)
    assert len(pairs) == 300 * 6
    for t in range(1, 7):
        drawn = [pair.k for pair in pairs if pair.t == t]
        possible = range(4, 10 - t + 1)
        assert set(drawn) == set(possible)
        expected = 300 / len(possible)
        assert all(abs(drawn.count(k) - expected) < 5 * expected**0.5 for k in possible)


def test_random_depends_on_seed_and_trajectory_alone() -> None:
    def drawn(ones: list[LoggedDialog], seed: int) -> dict[tuple[str, int], int]:
        pairs = mine_pairs(ones, strategy="random", seed=seed)
        return {(pair.student_id, pair.t): pair.k for pair in pairs}

    students = [replace(TEN, student_id=f"s{n}") for n in range(10)]
    first = drawn(students, 0)
    assert drawn(students[::-1], 0) == first
    assert drawn(students[3:4], 0).items() <= first.items()
    assert drawn(students, 1) != first


@given(
    codes=st.lists(st.sampled_from(["a=1", "a = 1", "b = 2", "c = ("]), max_size=9),
    strategy=st.sampled_from(["next", "random"]),
)
def test_next_and_random_never_pair_a_program_with_itself(
    codes: list[str], strategy: Strategy
) -> None:
    pairs = mined(logged([Fraction(0)] * len(codes), codes), strategy=strategy)
    assert not any(same_ast(pair.chosen_code, pair.rejected_code) for pair in pairs)
    smallest = 3 if strategy == "next" else 4
    expected = [
        t
        for t in range(1, len(codes))
        for later in [codes[t + smallest - 1 :][: 1 if strategy == "next" else None]]
        if any(not same_ast(codes[t], code) for code in later)
    ]
    assert [pair.t for pair in pairs] == expected


@pytest.mark.parametrize(
    ("strategy", "length", "first"),
    [("grade", 2, False), ("grade", 1, True), ("next", 3, False), ("random", 4, False)],
)
def test_trajectories_too_short_for_any_pair_are_an_error(
    strategy: Strategy, length: int, first: bool
) -> None:
    short = logged([Fraction(0)] * length)
    with pytest.raises(UsageError, match=rf"at least {length + 1} submissions.* has {length}"):
        mine_pairs([short, short], strategy=strategy, first_submission=first)


def test_pairs_of_equal_programs_only_are_an_error() -> None:
    same = logged([Fraction(0)] * 9, ["a = 1"] * 9)
    with pytest.raises(UsageError, match="is the same program as the chosen one"):
        mine_pairs([same], strategy="random")
    with pytest.raises(UsageError, match="longest of 0 has 0"):
        mine_pairs([])


def test_an_unknown_strategy_is_an_error() -> None:
    assert get_args(Strategy) == STRATEGIES
    with pytest.raises(UsageError, match="Did you mean 'grade'"):
        mine_pairs([TEN], strategy="grades")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def dialogs(tiny_model_dir: Path) -> DialogTokenizer:
    transformers = pytest.importorskip("transformers", reason="needs novicegym[train]")
    return DialogTokenizer(transformers.AutoTokenizer.from_pretrained(tiny_model_dir))


def rendered(pair: Pair, start: int, dialogs: DialogTokenizer) -> list[int]:
    """The prompt from submission `start` on, by the chat template itself."""
    window = [*pair.dialog[:2], *pair.dialog[2 + 2 * start :]]
    ids: list[int] = dialogs.tokenizer.apply_chat_template(
        window, add_generation_prompt=True, return_dict=False
    )
    return ids


LENGTHS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2]), st.integers(1, 40)), min_size=3, max_size=8
)


@given(made=LENGTHS, data=st.data())
@settings(deadline=None)
def test_both_sides_share_the_longest_window_and_are_whole(
    made: list[tuple[int, int]], data: st.DataObject, dialogs: DialogTokenizer
) -> None:
    grades = [Fraction(grade, 3) for grade, _ in made]
    one = logged(grades, [f"a = {'x1' * length}{n}" for n, (_, length) in enumerate(made)])
    pairs = mined(one, first_submission=True)
    if not pairs:
        return
    longest = dialogs.measure(one.dialog)
    context = data.draw(st.integers(len(rendered(pairs[0], pairs[0].t, dialogs)), longest))
    sides = {
        pair.t: [
            [*dialogs.tokenizer(f"```python\n{code}\n```")["input_ids"], dialogs.end_id]
            for code in (pair.chosen_code, pair.rejected_code)
        ]
        for pair in pairs
    }
    expected = {}
    for pair in pairs:
        free = context - max(map(len, sides[pair.t]))
        prompts = (rendered(pair, start, dialogs) for start in range(pair.t + 1))
        if prompt := next((prompt for prompt in prompts if len(prompt) <= free), None):
            expected[pair.t] = [prompt, *sides[pair.t]]
    if not expected:
        with pytest.raises(UsageError, match=f"{len(pairs)} do not fit a context of {context} "):
            encode_pairs(pairs, dialogs, context, CODE)
        return
    encoded = encode_pairs(pairs, dialogs, context, CODE)
    assert {
        row["t"]: [row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]]
        for row in encoded.rows
    } == expected
    assert encoded.too_long == len(pairs) - len(expected)


def test_a_row_says_what_it_was_made_from(dialogs: DialogTokenizer) -> None:
    one = logged([Fraction(0), Fraction(1, 3), Fraction(1, 3), Fraction(1)])
    encoded = encode_pairs(mine_pairs([one]), dialogs, 4096, CODE)
    texts = []
    for row in encoded.rows:
        texts.append((dialogs.text(row["chosen_ids"]), dialogs.text(row["rejected_ids"])))
        assert (row["student_id"], row["assignment_id"]) == ("ann", "add")
        assert (row["chosen_grade"], row["rejected_grade"]) == ("1/3", "1")
    assert [(row["t"], row["k"]) for row in encoded.rows] == [(1, 3), (2, 2)]
    assert texts == [(f"```python\na = {n}\n```", "```python\na = 3\n```") for n in (1, 2)]
    read = sum(
        2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"])
        for row in encoded.rows
    )
    assert encoded.summary() == {"pairs": 2, "forward_tokens": read, "too_long": 0, "identical": 0}


def test_a_pair_whose_longer_side_does_not_fit_is_left_out(dialogs: DialogTokenizer) -> None:
    grades = [Fraction(0), Fraction(0), Fraction(1, 3), Fraction(2, 3)]
    one = logged(grades, ["a = 1", "a = 2", "b" * 900, "a = 3"])
    pairs = mine_pairs([one])
    assert [(pair.t, pair.k) for pair in pairs] == [(1, 2), (2, 2)]  # both show the long one
    short = logged([Fraction(0), Fraction(0), Fraction(1)])
    context = dialogs.measure(short.dialog)
    encoded = encode_pairs([*pairs, *mine_pairs([short])], dialogs, context, CODE)
    assert (len(encoded.rows), encoded.too_long) == (1, 2)
    with pytest.raises(UsageError, match="none of 2 preference pairs is left: 2 do not fit"):
        encode_pairs(pairs, dialogs, context, CODE)


def test_an_assignment_that_does_not_fit_is_named(dialogs: DialogTokenizer) -> None:
    pairs = mine_pairs([logged([Fraction(0), Fraction(0), Fraction(1)])])
    with pytest.raises(UsageError, match="assignment 'add' alone takes"):
        encode_pairs(pairs, dialogs, 10, CODE)


def test_a_rejected_diff_is_against_the_program_in_the_prompt(dialogs: DialogTokenizer) -> None:
    lines = [f"line_{n} = {n}" for n in range(12)]
    codes = ["\n".join([f"edit = {n}", *lines]) for n in range(5)]
    grades = [Fraction(0), Fraction(0), Fraction(0), Fraction(0), Fraction(1, 2)]
    dual = DialogFormat("dual")
    one = logged(grades, codes, fmt=dual)
    pairs = mine_pairs([one], first_submission=True)
    encoded = encode_pairs(pairs, dialogs, 8192, dual)
    assert [pair.t for pair in pairs] == [0, 1, 2, 3]
    for pair, row in zip(pairs, encoded.rows, strict=True):
        shown = codes[pair.t - 1] if pair.t else None
        chosen, rejected = (dialogs.text(row[side]) for side in ("chosen_ids", "rejected_ids"))
        assert chosen == one.dialog[2 + 2 * pair.t]["content"]
        assert extract_code(rejected, shown).code == pair.rejected_code
        assert rejected.startswith("```diff" if pair.t else "```python")
        assert rejected != one.dialog[2 * (pair.t + pair.k)]["content"]


def test_sides_of_the_same_tokens_are_left_out(tiny_model_dir: Path) -> None:
    """Qwen's tokenizers normalize: two programs can differ in characters and not in tokens."""
    transformers = pytest.importorskip("transformers", reason="needs novicegym[train]")
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.backend_tokenizer.normalizer = tokenizers.normalizers.NFC()
    composed, decomposed = "a = 'é'", "a = 'e\u0301'"
    pairs = mine_pairs(
        [
            logged([Fraction(0), Fraction(0), Fraction(1)], ["b", composed, decomposed]),
            logged([Fraction(0), Fraction(0), Fraction(1)]),
        ]
    )
    encoded = encode_pairs(pairs, DialogTokenizer(tokenizer), 4096, CODE)
    assert (len(encoded.rows), encoded.identical) == (1, 1)
