"""The leak: calibrated on real states of cs1, blind to names, monotone, safe with any text."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from novicegym.courses.load import load_course
from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase
from novicegym.dialogs.serialize import assignment_text
from novicegym.grading.feedback import render_feedback
from novicegym.grading.verdict import CaseResult, Verdict
from novicegym.rewards.leak import Said, leak, leak_in_all, missing_lines
from novicegym.rewards.said_code import MAX_CHARACTERS

ROOT = Path(__file__).parents[2]
SOLUTION = """\
def mean_of_positives(numbers):
    total = 0
    count = 0
    for number in numbers:
        if number > 0:
            total += number
            count += 1
    if count == 0:
        return None
    return total / count
"""
START = "def mean_of_positives(numbers):\n    pass\n"


def leaks(message: str, code: str = START) -> float:
    return leak(message, code, (SOLUTION,))


def fenced(code: str) -> str:
    return f"Look:\n\n```python\n{code}\n```\nDo you see?"


State = tuple[Assignment, str]


@pytest.fixture(scope="module")
def states() -> list[State]:
    """Wrong submissions of cs1, some of every assignment, in a random order."""
    course = load_course("cs1")
    logged = [
        (course.assignments[trajectory.assignment_id], submission.code)
        for trajectory in course.trajectories[::7]
        for submission in trajectory.submissions
        if submission.logged_grade is not None and submission.logged_grade < 1
    ]
    order = np.random.default_rng(6).permutation(len(logged))
    return [logged[index] for index in order]


# Calibration on real states


def test_the_whole_solution_is_the_maximum_in_every_state(states: list[State]) -> None:
    for assignment, code in states[:80]:
        told = assignment_text(assignment)
        for solution in assignment.solutions:
            assert leak(solution, code, assignment.solutions, told) == 1.0
            assert leak(fenced(solution), code, assignment.solutions, told) == 1.0


def test_what_the_student_wrote_is_no_leak_in_any_state(states: list[State]) -> None:
    for assignment, code in states[:60]:
        lines = [line.strip() for line in code.split("\n") if line.strip()]
        quoted = " ".join(f"In `{line}`." for line in lines if "`" not in line)
        for message in (code, fenced(code), quoted, f"Why is `{lines[-1] if lines else ''}` last?"):
            assert leak(message, code, assignment.solutions, assignment_text(assignment)) == 0.0


def _retold(assignment: Assignment) -> Iterator[str]:
    """Failed tests, in the words of the feedback and in others."""
    for number, case in enumerate(assignment.tests.cases):
        if isinstance(case, CallCase):
            run, expected = case.call, repr(case.expected)
            yield f"`{run} == {expected}` should hold.\n\n    assert {run} == {expected}"
            yield fenced(f"print({run})  # {expected}")
        elif isinstance(case, IOCase):
            run, expected = case.stdin, case.stdout
        else:  # no course of ours has another kind
            raise AssertionError(case)
        result = CaseResult(f"test {number}", False, "logical", run, expected, "nothing")
        yield render_feedback(Verdict(0, "logical", (result,)), "full")  # type: ignore[arg-type]
        yield f"When I run {run.strip()} I expect {expected.strip()}, your program differs."
        yield f"```\n{run}\n```\nshould give\n```\n{expected}\n```"
        yield fenced(f"{run}\n{expected}")
        for line in f"{run}\n{expected}".split("\n"):
            if line.strip():
                yield f'Your program gives "{line}" and not `{line.strip()}`.'


def test_a_failed_test_told_again_is_no_leak_in_any_state(states: list[State]) -> None:
    tried = 0
    for assignment in {assignment.id: assignment for assignment, _ in states}.values():
        codes = [code for other, code in states if other is assignment][:2]
        for message in _retold(assignment):
            for code in ("", "x", "def f(:", *codes):
                for told in ("", assignment_text(assignment)):
                    assert leak(message, code, assignment.solutions, told) == 0.0, message
                    tried += 1
    assert tried > 10_000


def test_the_assignments_text_is_no_leak(states: list[State]) -> None:
    for assignment, code in states[:60]:
        told = assignment_text(assignment)
        assert leak(told, code, assignment.solutions, told) == 0.0
        assert leak(fenced(told), code, assignment.solutions, told) == 0.0


def test_each_missing_line_leaks_however_it_is_said(states: list[State]) -> None:
    tried = 0
    for assignment, code in states[:60]:
        told = assignment_text(assignment)
        for line in missing_lines(code, assignment.solutions[0], told):
            text = line.strip()
            for message in (fenced(line), f"Write\n\n{line}\n\nthere.", f"You need `{text}` here."):
                if "\n" in text and message.startswith("You"):
                    continue  # backticks hold one line
                assert leak(message, code, assignment.solutions, told) > 0.0, message
                tried += 1
    assert tried > 500


def test_half_of_what_is_missing_is_about_one_half(states: list[State]) -> None:
    halves, more = [], []
    for number, (assignment, code) in enumerate(states[:150]):
        told = assignment_text(assignment)
        solution = min(
            assignment.solutions, key=lambda one: len(missing_lines(code, one, told)) or 999
        )
        missing = missing_lines(code, solution, told)
        order = np.random.default_rng([6, number]).permutation(len(missing)).tolist()
        values = []
        for k in range(1, len(missing) + 1):
            shown = "\n".join(missing[index] for index in sorted(order[:k]))
            values.append(leak(fenced(shown), code, (solution,), told))
        assert values == sorted(values), "more of the solution never lowers it"
        if len(missing) >= 4 and len(missing) % 2 == 0:
            halves.append(values[len(missing) // 2 - 1])
        if values:
            more.append(values[-1])
    assert len(halves) > 20
    assert 0.4 < float(np.median(halves)) < 0.6
    low, high = np.quantile(halves, (0.1, 0.9))
    assert low > 0.2
    assert high < 0.8
    assert min(more) >= 0.9 - 1e-9, "all lines, out of their program"


# What a message may look like


@pytest.mark.parametrize(
    ("message", "least", "most"),
    [
        (SOLUTION, 1.0, 1.0),
        (f"Sure!\n{SOLUTION}\nGood luck.", 1.0, 1.0),
        (fenced(SOLUTION.replace("    ", "\t").replace(" / ", "/")), 1.0, 1.0),
        (
            fenced(SOLUTION.replace("total += number", "total = (total + (number))  # add")),
            1.0,
            1.0,
        ),
        (fenced(SOLUTION.replace("if number > 0:", "if (number>0) :")), 1.0, 1.0),
        (fenced(SOLUTION.replace("(numbers)", "(numbers: list[int]) -> float | None")), 1.0, 1.0),
        (fenced('"""Mean."""\n' + SOLUTION), 1.0, 1.0),
        (f"~~~\n{SOLUTION}", 1.0, 1.0),
        (fenced("\n".join(f"# {line}" for line in SOLUTION.split("\n"))), 0.8, 1.0),
        ("\n".join(f"- {line}" for line in SOLUTION.split("\n")), 0.8, 1.0),
        ("\n".join(f"{n}. {line}" for n, line in enumerate(SOLUTION.split("\n"))), 0.8, 1.0),
        ("\n".join(f"> {line}" for line in SOLUTION.split("\n")), 0.8, 1.0),
        ("```diff\n" + "\n".join(f"+{line}" for line in SOLUTION.split("\n")) + "\n```", 0.8, 1.0),
        (" and then ".join(f"`{line.strip()}`" for line in SOLUTION.split("\n")), 0.8, 1.0),
        (
            "Set total = 0 and count = 0 first. Then loop with for number in numbers: and inside "
            "check if number > 0: and then total += number and count += 1 as well. At last, if "
            "count == 0: you are done, otherwise return total / count at the end.",
            0.5,
            0.95,
        ),
        ("Start with `total = 0`.", 0.01, 0.15),
        ("Try `total / count`.", 0.05, 0.3),
        ("Your loop can use `>`.", 0.001, 0.05),
        ("```python\nfor number in numbers\n    total += number\n```", 0.15, 0.5),
    ],
)
def test_code_is_found_wherever_it_stands(message: str, least: float, most: float) -> None:
    assert least <= leaks(message) <= most


@pytest.mark.parametrize(
    "message",
    [
        "",
        "  \n",
        "Well done so far! What should happen to negative numbers?",
        "Look at line 2 (the body of the function). What does `pass` do?",
        "If you return the sum in the loop, it is too early. Is there a number(s) you forgot?",
        "For each number in the list, think: if it counts, what changes? e.g. think of a box.",
        "Your function should return None for an empty list, and it should return a number else.",
        "`mean_of_positives([1, -2, 3])` should give `2.0`, you get `None`.",
        "TypeError: unsupported operand type(s) for +: 'int' and 'str' (line 3)",
        "while true, that is not all; if so, go on.",
        "Hint: numbers",
        "- numbers",
    ],
)
def test_words_are_no_leak(message: str) -> None:
    assert leaks(message) == 0.0


QUOTES = ('"{}"', "'{}'", "\u201c{}\u201d", "\u2018{}\u2019", "\u00ab{}\u00bb")


@pytest.mark.parametrize("quotes", QUOTES)
def test_quotation_marks_hide_no_more_than_backticks(quotes: str) -> None:
    for line in SOLUTION.strip().split("\n")[1:]:
        if line.strip().startswith(("if", "for")) or "=" in line:
            message = f"Don't forget {quotes.format(line.strip())} here."
            assert leaks(message) >= leaks(f"Don't forget `{line.strip()}` here.") > 0
    lines = SOLUTION.strip().split("\n")
    assert leaks("\n".join(quotes.format(line) for line in lines)) == 1.0
    assert leaks("Write " + " and ".join(quotes.format(line.strip()) for line in lines)) > 0.8


@pytest.mark.parametrize(
    "said",
    [
        f"lines = {SOLUTION.split(chr(10))!r}",
        "lines = [\n" + "".join(f'    "{line}",\n' for line in SOLUTION.split("\n")) + "]",
        f"code = {SOLUTION!r}",
        "(" + "\n".join(repr(line + "\n") for line in SOLUTION.split("\n")) + ")",
    ],
)
def test_a_program_in_strings_of_a_program_is_a_leak(said: str) -> None:
    assert leaks(fenced(said)) == 1.0
    assert leak(fenced(said), said, (SOLUTION,)) < 0.2  # its order may be new


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\ufe0f", "\u2060", "\u034f", "\ufeff"])
def test_invisible_characters_hide_nothing(hidden: str) -> None:
    assert leaks(hidden.join(SOLUTION)) == leaks(fenced(hidden.join(SOLUTION))) == 1.0
    assert leaks(fenced(SOLUTION), hidden.join(SOLUTION)) == 0.0
    wide = SOLUTION.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    assert leaks(fenced(wide)) == 1.0


@pytest.mark.parametrize(
    ("plainly", "disguised"),
    [
        (" ", "\u00a0"),
        (" ", "\u1680"),
        (" ", "\u2800"),
        (" ", "\u3164"),
        ("=", "\ua78a"),
        (":", "\u2236"),
        ("/", "\u2215"),
        ("\n", "\u2028"),
        ("\n", "\r\n"),
        *(("-", chr(dash)) for dash in (*range(0x2010, 0x2016), 0x2212)),
        ("a", "\u0430"),
        ("f", "f\u0332"),
        ("o", "\u03bf"),
        ("e", "\u0435"),
        ("i", "\u0456"),
    ],
)
def test_look_alikes_hide_nothing(plainly: str, disguised: str) -> None:
    solution = SOLUTION.replace("count += 1", "count = count - -1")
    said = solution.replace(plainly, disguised)
    assert said != solution
    assert leak(said, START, (solution,)) == leak(fenced(said), START, (solution,)) == 1.0
    assert leak(said, said, (solution,)) == 0.0


def test_what_grows_when_it_is_made_plain_is_not_cut() -> None:
    assert leaks("\ufdfa" * 1_200 + "\n\n" + SOLUTION) == 1.0


@pytest.mark.parametrize("padding", ["+0", "[:]"])
@pytest.mark.parametrize("depth", [30, 60, 150, 250])
def test_a_statement_is_not_hidden_by_its_depth(padding: str, depth: int) -> None:
    lines = SOLUTION.strip().split("\n")
    deep = [
        lines[0],
        *(re.sub(r"(\w)(:?)$", rf"\1{padding * depth}\2", line) for line in lines[1:]),
    ]
    assert leaks(fenced("\n".join(deep))) > 0.3
    for line, padded in zip(lines[1:], deep[1:], strict=True):
        assert leaks(fenced(padded)) > 0.3 * leaks(fenced(line)) > 0


@pytest.mark.parametrize("word", ["else", "try", "finally", "while", "most", "max", "print"])
def test_a_word_in_backticks_is_no_statement(word: str) -> None:
    code = "while x:\n    max = print\n"
    solution = (
        "try:\n    while x:\n        most = max(x)\n    else:\n        print(most)\n"
        "finally:\n    x = 1\n"
    )
    assert leak(f"Think of the word `{word}`.", code, (solution,)) == 0.0
    assert leak("Think of `else:`.", code, (solution,)) > 0.0


def test_a_statement_that_is_one_word_is_one() -> None:
    assert leak("You need `break` there.", "while x: pass", ("while x: break",)) > 0.0


def test_a_statement_may_go_on_behind_an_operator() -> None:
    split = SOLUTION.replace("= total +", "=\ntotal +").replace("total = 0", "total =\n    0")
    split = split.replace("count == 0", "count ==\n  0")
    assert split.count("\n") > SOLUTION.count("\n")
    assert leaks(fenced(split)) == leaks(split) == 1.0


def test_a_long_program_that_does_not_parse_may_be_quoted() -> None:
    code = "\n".join(f"x{n} = = y[ = z( {n} = = if w{n}( y = = while v[ = {n}" for n in range(120))
    assert leaks(code) == 1.0, "there is too much to try"
    for quoted in (code, fenced(code), "> " + code.replace("\n", "\n> "), code.replace("\n", " ")):
        assert leaks(f"{quoted}\n\nLook at line 3.", code) == 0.0
        assert leaks(f"{quoted}\n\nWrite\n\n    total = 0", code) > 0.0


@pytest.mark.parametrize(
    "said",
    [
        'You print "2.5" where "Mean: 2.5" is asked for.',
        "You print 'none', not 'None found'.",
        'For "1 2 -3" and "yes - no" the test expects "a-b" or "Hello (you)".',
        '"mean_of_positives([1, -2, 3]) == 2.0" does not hold.',
        "It's the student's list, isn't it?",
    ],
)
def test_data_in_quotation_marks_is_no_leak(said: str) -> None:
    assert leaks(said) == 0.0


def test_messages_leak_together_what_they_give_away_line_by_line() -> None:
    lines = SOLUTION.strip().split("\n")[1:]
    said = [Said(fenced(line), START, "") for line in lines]
    each = [leaks(one.message) for one in said]
    in_all = [leak_in_all(said[:many], (SOLUTION,)) for many in range(len(said) + 1)]
    assert in_all == sorted(in_all)
    assert in_all[:2] == [0.0, each[0]]
    assert max(each) < 0.5
    assert in_all[-1] > 0.8
    assert leak_in_all([*said, Said(" ", START, ""), Said(SOLUTION, START, "")], (SOLUTION,)) == 1.0


def test_what_the_student_wrote_meanwhile_is_leaked_by_no_later_message() -> None:
    later = START.replace("pass", "total = 0")
    quoted = Said("Why `total = 0`?", later, "")
    assert leak_in_all([Said("Begin.", START, ""), quoted], (SOLUTION,)) == 0.0
    # But what an earlier one gave away stays given.
    first = Said("Write `total = 0`.", START, "")
    assert leak_in_all([first, quoted], (SOLUTION,)) == leaks(first.message) > 0


def test_of_several_solutions_the_most_revealed_counts() -> None:
    other = "def mean_of_positives(numbers):\n    kept = [n for n in numbers if n > 0]\n"
    line = "`kept = [n for n in numbers if n > 0]`"
    assert leak(line, START, (other,)) > 0.8
    assert leak(line, START, (SOLUTION, other)) == leak(line, START, (other,))
    assert leak(line, START, (SOLUTION,)) < 0.3  # it has a loop and a condition, too


def test_nothing_is_left_to_reveal_to_who_is_done_or_without_solutions() -> None:
    assert leaks(SOLUTION, SOLUTION.replace("total", "t")) == 0.0
    assert leak(SOLUTION, START, ()) == 0.0


@pytest.mark.parametrize(
    "code",
    [
        SOLUTION.replace("numbers:", "numbers"),  # one colon
        SOLUTION.replace("return total / count", "return count / total"),
        SOLUTION.replace("return total", "return number"),
        SOLUTION.replace("    return total", "        return total"),
        SOLUTION.replace("count += 1\n", "count += 1\n            print(count)\n"),
        SOLUTION + "print(mean_of_positives([1]))\nprint(total)\n",
        SOLUTION.replace("\n    if count", "\n      if count"),
        "\n".join(reversed(SOLUTION.split("\n"))),
        SOLUTION.replace("mean_of_positives", "positive_mean"),
        SOLUTION.replace("if number > 0:", "if number = 0:"),
    ],
)
def test_a_nearly_right_student_can_be_told_all_and_quoted_freely(code: str) -> None:
    assert leaks(SOLUTION, code) == leaks(fenced(SOLUTION), code) == 1.0
    assert leaks(code, code) == leaks(fenced(code), code) == 0.0


def test_a_wrong_text_is_told_by_the_right_one() -> None:
    wrong, right = 'print("No DATA")\n', 'print("No data")\n'
    assert leak(right, wrong, (right,)) == 1.0
    assert leak(wrong, wrong, (right,)) == 0.0


def test_what_the_prompt_holds_is_no_leak() -> None:
    line = "    total = 0"
    assert leaks(line) > 0.0
    assert leak(line, START, (SOLUTION,), "Begin with\n\n    total = 0\n\nand go on.") == 0.0


# Properties

LINES = SOLUTION.strip().split("\n")
NAMES = ("mean_of_positives", "numbers", "number", "total", "count")
FRESH = st.lists(
    st.from_regex(r"[a-z]{2}_[a-z]{1,3}", fullmatch=True), min_size=5, max_size=5, unique=True
)
SUBSETS = st.sets(st.integers(0, len(LINES) - 1))
WAYS: list[Callable[[list[str]], str]] = [
    lambda lines: "\n".join(lines),
    lambda lines: fenced("\n".join(lines)),
    lambda lines: "\n".join(f"Use `{line.strip()}`." for line in lines),
    lambda lines: "\n\n".join(fenced(line) for line in lines),
]


def of(which: set[int]) -> list[str]:
    return [LINES[number] for number in sorted(which)]


@given(SUBSETS, SUBSETS, SUBSETS, st.sampled_from(WAYS))
def test_more_of_the_solution_never_lowers_it(
    had: set[int], few: set[int], others: set[int], way: Callable[[list[str]], str]
) -> None:
    code = "\n".join(of(had))
    less, more = leaks(way(of(few)), code), leaks(way(of(few | others)), code)
    assert 0.0 <= less <= more <= 1.0


@given(SUBSETS, FRESH, st.sampled_from(WAYS))
def test_names_do_not_matter(
    which: set[int], fresh: list[str], way: Callable[[list[str]], str]
) -> None:
    message = way(of(which))
    renamed = re.sub(
        r"\b(?:" + "|".join(NAMES) + r")\b", lambda m: fresh[NAMES.index(m[0])], message
    )
    assert leaks(renamed) == leaks(message)
    code = "\n".join(of(which))
    assert leaks(SOLUTION, code) == (0.0 if code == SOLUTION.strip() else 1.0)


@given(SUBSETS, SUBSETS, st.sampled_from(WAYS))
def test_the_students_own_lines_are_no_leak(
    had: set[int], quoted: set[int], way: Callable[[list[str]], str]
) -> None:
    code = "\n".join(of(had))
    assert leaks(way(of(had & quoted)), code) == 0.0


PIECES = st.sampled_from(
    [
        *LINES,
        *("`", "```", "```python\n", "\n", "(", ")", '"""', "'", "\\\n", "#", ":", "=", "\0"),
        *("\ud800", "if", "else:", "elif x:", "try:", "except:", "\t", "lambda:", "f'{x}'"),
        *("case _:", "x = ", "return", "**", "0x" + "f" * 5_000, "9" * 5_000, "é = 1", "@f\n"),
    ]
)
TEXTS = st.text(max_size=60) | st.lists(PIECES, max_size=12).map("".join)


@settings(max_examples=200)
@given(TEXTS, TEXTS, st.lists(TEXTS, max_size=2), TEXTS)
@example("x", "x", ["x"], "")
@example("match x:\n case [a, *b]: pass", "try:\n 1\nexcept* ValueError as e:\n 2", ["a"], "")
@example("", "if f = 'E':\n  x = 1\nIf f == 'N'\nelse:\ny -= 1", ["if f == 'E':\n x = 1"], "")
@example("else:", "finally:", ["elif x: pass"], "case 1:")
def test_any_text_is_in_range(message: str, code: str, solutions: list[str], prompt: str) -> None:
    value = leak(message, code, solutions, prompt)
    assert 0.0 <= value <= 1.0
    assert leak(fenced(code), code, solutions, prompt) == 0.0


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "a=",
        "a(",
        "x(\n",
        "`a`",
        "```\n",
        "x=1;",
        "\\\n",
        "a(b)=c(d) ",
        "a.b",
        "- ",
        '"a=1" ',
        "'b' ",
        "\u200b",
        "'\\",
        "\"\\'",
        "\u201e",
        "a,",
        "x =\n",
        "if a:\n b=1\n\n",
        "\u0301\u0323",
    ],
)
def test_hostile_text_takes_bounded_time(unit: str) -> None:
    text = unit * ((MAX_CHARACTERS - 1) // len(unit))
    started = time.process_time()
    assert 0.0 <= leaks(text) <= 1.0
    assert 0.0 <= leaks(fenced(text[:-100])) <= 1.0
    assert leaks(unit * 1_000_000) == 1.0  # nothing hides behind padding
    leak(SOLUTION, text, (SOLUTION,), text)
    leak("x = 1", START, (text,))
    assert time.process_time() - started < 5


def test_many_blocks_and_solutions_take_bounded_time() -> None:
    solutions = [
        "\n".join(f"v = {7 * number + first}" for number in range(119)) for first in range(10)
    ]
    blocks = "".join(f"```\na = {n}\nb = {n * n % 840}\n```\n" for n in range(840))
    started = time.process_time()
    assert leak(blocks[:MAX_CHARACTERS], START, solutions) > 0.5
    assert time.process_time() - started < 3


def test_deep_nesting_is_no_trouble() -> None:
    for depth in (40, 60, 150, 5_000):
        for text in (
            "x = " + "(" * depth + "1" + ")" * depth,
            "x = " + "-" * depth + "y",
            "\n".join(" " * n + "if x:" for n in range(min(depth, 150))) + " y = 1",
        ):
            assert 0.0 <= leaks(text) <= 1.0
            assert 0.0 <= leak(fenced(SOLUTION), text, (SOLUTION, text)) <= 1.0


def test_the_value_is_the_same_in_every_process() -> None:
    code = (
        "from novicegym.rewards.leak import leak\n"
        f"print([leak(m, {START!r}, ({SOLUTION!r},)) for m in {LINES!r}])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1
    assert repr([leaks(line) for line in LINES]) == printed.pop().strip()


def test_the_scale_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scale = runpy.run_path(str(ROOT / "benchmarks" / "leak_scale.py"))
    monkeypatch.setattr(sys, "argv", ["leak_scale.py", "--states", "12"])
    printed = []
    for _ in range(2):
        assert scale["main"]() == 0
        printed.append(capsys.readouterr().out.split("## Time")[0])
    first, again = printed
    assert "The feedback told again: 0.00 to 0.00." in first
    assert "The whole solution: 1.00 to 1.00." in first
    assert len(re.findall(r"^### \d\.\d\d", first, re.MULTILINE)) == 4
    assert first == again
