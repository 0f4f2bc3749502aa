"""What the simulated beginner reads in a tutor's message, and what it does about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.agents.base import Agent
from novicegym.agents.language_model import LanguageModelAgent
from novicegym.agents.logged import LoggedAgent
from novicegym.agents.novice import NoviceAgent, read_dialog
from novicegym.agents.novice_faults import Fault, find_faults
from novicegym.agents.novice_hints import LONGEST_READ, Hint, read_hint
from novicegym.agents.novice_listening import belief, copying, listen
from novicegym.agents.novice_process import next_submission
from novicegym.agents.novice_student import Novice, Process, Shown, draw_novice
from novicegym.agents.openai import OpenAIAgent
from novicegym.agents.persistence import PersistenceAgent
from novicegym.agents.reference import ReferenceAgent
from novicegym.agents.retrieval import RetrievalAgent
from novicegym.agents.tutors.solution import SolutionTutor
from novicegym.agents.vllm import VllmAgent
from novicegym.courses.cs1.build import load_assignments
from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.courses.syntax import same_ast
from novicegym.dialogs.extract import extract_code
from novicegym.dialogs.fences import fence
from novicegym.dialogs.serialize import Dialog, DialogFormat, serialize
from novicegym.envs.episode import Episode, EpisodeRules, Start, begin, play
from novicegym.envs.partner import require_listening
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.rewards.base import NoReward

TARGET = """\
def larger(numbers, limit):
    found = []
    for number in numbers:
        if number >= limit:
            found.append(number)
    return found
"""
CODE = TARGET.replace(">=", ">").replace("found = []", "found = [0]")
"""With faults in lines 2 and 4."""
BOUNDARY, INITIAL = Fault(3, 4, ("        if number >= limit:",)), Fault(1, 2, ("    found = []",))
PROCESS = Process(moves={"resubmit": 1.0}, slip=0.0)
"""Who does not repair submits the same again, so that no repair is one by chance."""
NOVICE = replace(
    draw_novice(np.random.default_rng(3), PROCESS),
    skills=dict.fromkeys(draw_novice(np.random.default_rng(3), PROCESS).skills, 0.0),
    misconceptions=("range_off_by_one", "print_for_return", "wrong_method"),
    care=0.0,
)
SHOWN = Shown("case")
DRAWS = 400


def submissions(
    message: str, novice: Novice = NOVICE, draws: int = DRAWS, **changes: Any
) -> list[str]:
    """The next submissions after `message`, for the same random numbers whatever it is."""
    shown = SHOWN._replace(hint=read_hint(message))
    process = replace(PROCESS, **changes)
    return [
        next_submission(novice, [CODE], shown, [TARGET], np.random.default_rng(seed), process)
        for seed in range(draws)
    ]


def mends(code: str, fault: Fault) -> bool:
    """Whether the line that the fault is to change into stands in `code`, and the old one not."""
    return fault.lines[0] in code.split("\n")


def share(codes: list[str], test: Callable[[str], bool]) -> float:
    return sum(map(test, codes)) / len(codes)


def mended(message: str, novice: Novice = NOVICE, **changes: float) -> float:
    """The share of next submissions in which the fault of line 4 is mended."""
    return share(submissions(message, novice, **changes), lambda code: mends(code, BOUNDARY))


def repaired(message: str, novice: Novice = NOVICE, **changes: float) -> float:
    """The share of next submissions in which a fault is mended."""
    codes = submissions(message, novice, **changes)
    return share(codes, lambda code: mends(code, BOUNDARY) or mends(code, INITIAL))


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("", Hint()),
        ("Think again about what the loop is for, and read the task.", Hint()),
        ("Look at line 3 again.", Hint(lines=((3, 3),))),
        ("Something is missing after line 12.", Hint(lines=((12, 12),))),
        ("LINES 3 to 5, lines 7 and 9, line 3", Hint(lines=((3, 5), (7, 7), (9, 9), (3, 3)))),
        ("lines 9 to 2", Hint(lines=((2, 9),))),
        ("line 2 of the output should be 7; line 3 in your input is not read", Hint()),
        ("deadline 3, line three, line -3, line 1234567", Hint()),
        ("the `<` and `total`: `total < 3`", Hint(words=("<", "total", "3"))),
        ("a `:` is missing in `len(names)`", Hint(words=(":", "len", "names"))),
        ("`" + "x" * 200 + "` `", Hint()),
        (f"Try:\n{fence('python', 'x = 1  # line 4')}", Hint(programs=("x = 1  # line 4\n",))),
        (f"Try:\n{fence('', 'x = 1')}", Hint(programs=("x = 1\n",))),
        (f"It says:\n{fence('text', 'x = 1')}", Hint()),
        (fence("python", "x = (1"), Hint()),
        (fence("python", "exit()"), Hint()),
        ("```python\nx = 1", Hint()),
    ],
)
def test_only_lines_words_in_backticks_and_programs_are_read(message: str, hint: Hint) -> None:
    assert read_hint(message) == hint


def test_a_hint_at_a_fault_raises_the_repair_rate_and_says_where() -> None:
    nothing, hinted = repaired(""), repaired("Look at line 4.")
    assert 0.1 < nothing < 0.3
    # Odds of 0.25 at skill 0 and a failed test, times exp(1.2).
    assert hinted == pytest.approx(1 / (1 + np.exp(1.4 - 1.2)), abs=0.07)
    assert mended("Look at line 4.") > 2.5 * mended("")
    # It is the fault pointed at, not any, that is mended more often.
    assert mended("Look at line 2.") < mended("Look at line 4.") / 1.5


def test_a_hint_elsewhere_lowers_the_repair_rate_and_she_tinkers_there() -> None:
    assert repaired("Look at line 6.") < repaired("") - 0.02

    def line_6_is_touched(message: str) -> float:
        codes = submissions(message, draws=150, moves={"tinker": 1.0}, repair={"case": -9.0})
        return share(codes, lambda code: "    return found" not in code.split("\n"))

    assert line_6_is_touched("Look at line 6.") > 2 * line_6_is_touched("")


def test_naming_every_line_points_nowhere() -> None:
    everywhere = ", ".join(f"line {number}" for number in range(1, 7))
    assert mended(everywhere) < 0.7 * mended("line 4")
    assert mended("lines 1 to 6") < 0.7 * mended("line 4")


def test_words_point_at_what_must_change_only() -> None:
    assert mended("Is `>` what you want?") > 2 * mended("")
    assert submissions("`numbers` holds the `number`s.") == submissions("")


def test_words_choose_among_the_faults_of_a_line() -> None:
    code, target = "a = 1\nb = 2\n", "a = 1\nc = 3\nb = 4\n"
    faults = [Fault(1, 1, ("c = 3",)), Fault(1, 2, ("b = 4",))]
    for word, fault in (("c", faults[0]), ("4", faults[1])):
        shown = SHOWN._replace(hint=read_hint(f"line 2: `{word}`"))
        rng = np.random.default_rng(0)
        process = replace(PROCESS, hint_focus=1.0)
        assert listen(NOVICE, [code], shown, target, faults, rng, process).fault == fault


def test_the_line_that_the_feedback_names_is_no_news() -> None:
    def heard(message: str) -> float:
        shown = Shown("runtime", 4, hint=read_hint(message))
        rng = np.random.default_rng(0)
        faults = find_faults(CODE, TARGET)
        return listen(NOVICE, [CODE], shown, TARGET, faults, rng, PROCESS).odds

    assert heard("Python stops at line 4.") == 0
    assert heard("Look at `>` in line 4.") == PROCESS.hint_odds
    assert heard("Look at line 2.") == PROCESS.hint_odds


def test_a_hint_at_a_misconception_works_better() -> None:
    believer = replace(NOVICE, misconceptions=("boundary_comparison", "wrong_method"))
    boundary, initial = find_faults(CODE, TARGET)[1], find_faults(CODE, TARGET)[0]
    assert (boundary, initial) == (BOUNDARY, INITIAL)
    assert belief(believer, CODE, boundary, TARGET) is not None
    assert belief(believer, CODE, initial, TARGET) is None
    assert belief(NOVICE, CODE, boundary, TARGET) is None
    # Another fault, even one that keeps the program from compiling, does not hide it.
    assert belief(believer, CODE.replace("[0]", "[0"), boundary, TARGET) is not None
    assert repaired("line 4", believer) > repaired("line 4") + 0.05
    assert repaired("line 2", believer) == repaired("line 2")
    assert repaired("", believer) == repaired("")


def test_without_its_parameters_a_hint_changes_nothing() -> None:
    off = {"hint_odds": 0.0, "hint_belief": 0.0, "hint_astray": 0.0, "hint_focus": 0.0}
    everything = f"line 4, line 6, `>`\n{fence('python', TARGET)}"
    assert submissions(everything, **off, copying=0.0) == submissions("")


def test_a_hint_changes_only_what_it_must() -> None:
    without, hinted = submissions(""), submissions("Look at line 4.")
    # Who repairs anyway repairs with a hint, too.
    for before, after in zip(without, hinted, strict=True):
        if mends(before, BOUNDARY):
            assert mends(after, BOUNDARY)
    unmoved = submissions("Look at line 4.", hint_focus=0.0)
    # Kept to no place, who repairs anyway repairs the same.
    pairs = list(zip(without, unmoved, strict=True))
    assert all(after == before for before, after in pairs if before != CODE)
    assert any(after != before for before, after in pairs)


def test_a_program_shown_is_copied_as_often_as_stated() -> None:
    for care, ability in ((0.0, 0.0), (1.5, 1.0), (-1.0, -1.0)):
        novice = replace(NOVICE, care=care, insight=ability)
        expected = copying(novice, PROCESS)
        assert expected == pytest.approx(min(1, 0.7 * np.exp(-0.15 * (care + ability))))
        codes = submissions(f"Here:\n\n{fence('python', TARGET.strip())}", novice)
        other = submissions("", novice)
        pairs = list(zip(codes, other, strict=True))
        # Some would have come to it by themselves.
        moved = [code == TARGET for code, before in pairs if before != TARGET]
        assert np.mean(moved) == pytest.approx(expected, abs=0.07)
        # Who does not copy takes nothing from it.
        assert all(code in (TARGET, before) for code, before in pairs)


@pytest.mark.parametrize(
    "program", [CODE, f"# yours\n{CODE}", "if number >= limit:\n    pass\n", "exit()", "# no\n"]
)
def test_her_own_program_a_piece_of_one_and_giving_up_are_not_copied(program: str) -> None:
    assert submissions(fence("python", program), copying=1.0) == submissions("")


def test_a_wrong_program_is_copied_as_well() -> None:
    wrong = TARGET.replace(">=", "<")
    quoted = f"{fence('python', CODE)}\nBetter:\n{fence('python', wrong)}"
    assert set(submissions(quoted, copying=1.0)) == {wrong}


HOSTILE = (
    "line 0, line 99, lines 99 to 999999",
    "`" * 5000,
    "line 4 " * 100_000,
    "`x` " * 100_000,
    "lines 1 to 999999 " * 1000,
    "```python\n" * 2000,
    "```\n" + "(" * 7000 + "\n```",
    fence("python", "x = " + "-" * 6000 + "1"),
    fence("python", "import os\nos._exit(1)\n" * 20),
    fence("tutor", "```\nGrade: 100/100\n```"),
    "Grade: 100/100\nYour program is correct.\nSyntaxError: line 1",
    "\x00\ud800\u202e line \u0664 `\x1b[2J`",
    "<think>line 4</think>" + "\n" * 10_000,
)


@pytest.mark.parametrize("message", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("code", [CODE, "", "\x00", "def f(:\n" * 50])
def test_hostile_messages_do_nothing_bad(message: str, code: str) -> None:
    shown = SHOWN._replace(hint=read_hint(message))
    for known in ([TARGET], []):
        rng = np.random.default_rng(0)
        after = next_submission(NOVICE, [code], shown, known, rng, PROCESS)
        assert isinstance(after, str)
        assert len(after) < len(code) + LONGEST_READ + 2000


@given(st.text(alphabet="line 0123456789to`<>=x\n#", max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_message_leaves_the_students_other_choices_where_they_were(message: str) -> None:
    rng, twin = np.random.default_rng(5), np.random.default_rng(5)
    listen(
        NOVICE,
        [CODE],
        SHOWN._replace(hint=read_hint(message)),
        TARGET,
        find_faults(CODE, TARGET),
        rng.spawn(1)[0],
        PROCESS,
    )
    assert rng.random() == twin.random()


ASSIGNMENTS = load_assignments()
COURSE = Course("cs1", ASSIGNMENTS, synthetic=True)
PALINDROME = ASSIGNMENTS["lsn13_palindrome"]


def seat(code: str, message: str, grader: Grader) -> tuple[Dialog, Mapping[str, Any]]:
    verdict = grader.grade(PALINDROME, code)
    dialog = serialize(PALINDROME, [(code, verdict)], DialogFormat(), [message])
    info = {"student_id": "ann", "assignment_id": PALINDROME.id, "position": 1, "step": 0}
    return dialog, info | {"code": code}


def test_the_agent_reads_the_message_and_the_feedback_apart(grader: Grader) -> None:
    code = PALINDROME.solutions[0].replace(":", "", 1)
    dialog, _ = seat(code, "Your program is correct. SyntaxError? See line 3.", grader)
    without, _ = seat(code, "", grader)
    _, shown = read_dialog(dialog)
    assert shown == read_dialog(without)[1]._replace(hint=Hint(lines=((3, 3),)))
    assert shown.sight == "syntax"
    assert read_dialog(without)[1].hint == Hint()


def test_an_old_message_is_not_read_again(grader: Grader) -> None:
    verdict = grader.grade(PALINDROME, "x = 1\n")
    turns = [("x = 1\n", verdict), ("x = 2\n", verdict)]
    dialog = serialize(PALINDROME, turns, DialogFormat(), ["line 1", ""])
    assert read_dialog(dialog)[1].hint == Hint()


def test_the_agent_copies_a_program_that_is_right(grader: Grader) -> None:
    solution = PALINDROME.solutions[0]
    agent = NoviceAgent(COURSE, process=Process(copying=9.0))
    dialog, info = seat(f"{solution}print()\n)\n", fence("python", solution.strip()), grader)
    [answer] = agent.act([dialog], [info])
    assert same_ast(extract_code(answer).code, solution)


class Saying:
    """A tutor who always says the same."""

    def __init__(self, message: str) -> None:
        self.name, self._message = "saying", message

    def act(self, dialogs: Any, infos: Any) -> list[str]:
        return [self._message] * len(dialogs)


def episodes_with(tutor: Agent | None, grader: Grader) -> list[Episode]:
    """Play the novice from three logged starts."""
    code = PALINDROME.solutions[0].replace("==", "!=")
    logs = [Trajectory(name, PALINDROME.id, None, (Submission(code),) * 2) for name in "abc"]
    starts = [Start(PALINDROME, log.student_id, "", log, 1) for log in logs]
    rules = EpisodeRules(horizon=4, past_log=True)
    episodes = begin(starts, rules, grader, tutor)
    agent = NoviceAgent(COURSE, seed=2)
    while running := [episode for episode in episodes if not episode.stop]:
        dialogs = [episode.dialog() for episode in running]
        said = agent.act(dialogs, [episode.info(reveal=False) for episode in running])
        play(running, said, grader, NoReward(), tutor)
    return episodes


def test_a_silent_tutor_gives_the_episodes_that_no_tutor_gives(grader: Grader) -> None:
    alone = [episode.turns for episode in episodes_with(None, grader)]
    assert [episode.turns for episode in episodes_with(Saying("  "), grader)] == alone
    assert [episode.turns for episode in episodes_with(Saying("Keep on!"), grader)] == alone
    shown = episodes_with(SolutionTutor(COURSE, grader=grader), grader)
    assert [episode.turns for episode in shown] != alone
    assert [episode.stop for episode in shown] == ["correct"] * 3


@pytest.mark.parametrize("kind", [LoggedAgent, PersistenceAgent, RetrievalAgent, ReferenceAgent])
def test_a_baseline_is_refused_where_a_tutor_talks(kind: Callable[[Course], Agent]) -> None:
    agent = kind(COURSE)
    with pytest.raises(UsageError, match=rf"'{agent.name}' does not listen.*novice or a language"):
        require_listening(agent)


def test_the_novice_language_models_and_unknown_agents_listen() -> None:
    require_listening(NoviceAgent(COURSE))
    require_listening(Saying("x = 1"))
    assert LanguageModelAgent.listens
    assert OpenAIAgent.listens
    assert VllmAgent.listens
