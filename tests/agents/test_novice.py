"""The simulated beginner: catalogue, style, faults, process, agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novicegym.agents.novice import NoviceAgent, fixed_names, read_dialog
from novicegym.agents.novice_catalogue import LITERATURE, BugKind, catalogue
from novicegym.agents.novice_faults import find_faults, mend, nearest
from novicegym.agents.novice_process import first_submission, next_submission, plant
from novicegym.agents.novice_source import Edit, Source, lex, splice
from novicegym.agents.novice_student import (
    Novice,
    Process,
    Shown,
    Sight,
    draw_novice,
    read_feedback,
)
from novicegym.agents.novice_style import adopt_names, draw_style, restyle
from novicegym.courses.cs1.build import load_assignments
from novicegym.courses.model import Assignment, Course, Submission, Trajectory
from novicegym.courses.suite import CallCase, TestSuite
from novicegym.courses.syntax import same_ast
from novicegym.dialogs.extract import extract_code, is_give_up
from novicegym.dialogs.serialize import DialogFormat, serialize
from novicegym.envs.episode import Episode, EpisodeRules, Start, begin, play
from novicegym.grading.feedback import FEEDBACK_LEVELS, render_feedback
from novicegym.grading.grader import Grader
from novicegym.rewards.base import make_reward

ASSIGNMENTS = load_assignments()
SOLUTIONS = [(a.id, code) for a in ASSIGNMENTS.values() for code in a.solutions]
KINDS = {kind.name: kind for kind in catalogue()}
SIGHTS: tuple[Sight, ...] = (
    "syntax",
    "runtime",
    "limit",
    "case",
    "summary",
    "grade",
    "nothing",
    "correct",
)
EAGER = Process(repair=dict.fromkeys(SIGHTS, 6.0), slip=0.0)
WEIRD = (
    "",
    "\n\n",
    "def f(:\n",
    "\x00",
    "\ud800 = 1",
    "print('a'\r\n\tif x:\f",
    "x = " + "(" * 300 + ")" * 300,
    "if x:\n" * 50,
    "".join(f"{'    ' * depth}while {depth}:\n" for depth in range(40)),
    "x = " + "9" * 6000 + " + " + "٣",
    "'''",
    "f'{a!r:{b}}' f'{'",
    "é = ü[ï + 1]\nprint(f'{é}')",
    "exit()",
)


def novice(seed: int = 0, process: Process = EAGER) -> Novice:
    return draw_novice(np.random.default_rng(seed), process)


def test_catalogue_has_many_kinds_of_each_category_and_cites_literature() -> None:
    assert len(KINDS) == len(catalogue()) >= 25
    by_category = [kind.category for kind in catalogue()]
    assert all(by_category.count(name) >= 8 for name in ("syntax", "runtime", "logic"))
    assert all(kind.cites and set(kind.cites) <= set(LITERATURE) for kind in catalogue())
    assert {key for kind in catalogue() for key in kind.cites} == set(LITERATURE)


@pytest.mark.parametrize("kind", catalogue(), ids=lambda kind: kind.name)
def test_every_kind_has_places_in_the_solutions_where_it_shows(kind: BugKind) -> None:
    made = 0
    for _, code in SOLUTIONS:
        for edits in kind.places(Source(code))[:3] if made < 12 else ():
            after = splice(code, edits)
            made += kind.shows(code, after)
    assert made >= 3


def test_bugs_keep_the_rest_of_the_text() -> None:
    code = "def f(n):\n    # add  them\n    for i in range( n ):\n\n        t  =  t + i\n"
    kind = KINDS["range_off_by_one"]
    assert {splice(code, edits) for edits in kind.places(Source(code))} == {
        code.replace("range( n )", "range( n - 1 )"),
        code.replace("range( n )", "range( 1, n )"),
    }


def test_positions_count_characters_not_bytes() -> None:
    code = 'x = "äöü"; y = 3 if x < "b" else 4\n'
    changed = {splice(code, e) for e in KINDS["boundary_comparison"].places(Source(code))}
    assert changed == {code.replace("<", "<=")}


def test_overlapping_edits_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap at offset 1"):
        splice("abc", (Edit(0, 2, "x"), Edit(1, 3, "y")))


@given(st.text(alphabet=st.characters(), max_size=60))
def test_lexing_leaves_nothing_out(text: str) -> None:
    assert "".join(token.text for token in lex(text)) == text


@given(st.sampled_from(SOLUTIONS), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_style_changes_names_and_looks_only(solution: tuple[str, str], seed: int) -> None:
    assignment, code = ASSIGNMENTS[solution[0]], solution[1]
    rng = np.random.default_rng(seed)
    names = fixed_names(assignment)
    styled = restyle(code, assignment.title, names, draw_style(rng), rng)
    assert same_ast(styled, code, "alpha")
    if assignment.entry_point:
        assert f"def {assignment.entry_point}(" in styled


@given(st.sampled_from(SOLUTIONS), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_adopted_names_change_names_only_and_take_those_of_the_code(
    solution: tuple[str, str], seed: int
) -> None:
    assignment, code = ASSIGNMENTS[solution[0]], solution[1]
    rng = np.random.default_rng(seed)
    names = fixed_names(assignment)
    styled = restyle(code, assignment.title, names, draw_style(rng), rng)
    adopted = adopt_names(code, styled, names)
    assert same_ast(adopted, code, "alpha")
    assert same_ast(adopted, styled)


@given(st.sampled_from(SOLUTIONS), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_mending_all_faults_gives_the_target(solution: tuple[str, str], seed: int) -> None:
    code = solution[1]
    rng = np.random.default_rng(seed)
    broken = first_submission(novice(seed), code, rng, Process())
    faults = find_faults(broken, code)
    assert bool(faults) == (not same_ast(broken, code))
    assert same_ast(mend(broken, faults), code)


def test_a_moved_block_is_one_fault() -> None:
    target = "for i in x:\n    a()\n    if i:\n        b()\n    c()\n"
    code = "for i in x:\n    a()\nif i:\n    b()\nc()\n"
    assert len(find_faults(code, target)) == 1


def test_nearest_prefers_the_program_most_alike() -> None:
    programs = [code for _, code in SOLUTIONS]
    for code in programs:
        assert nearest(code.replace("0", "1"), programs) == code
    assert nearest("x", []) is None


@pytest.mark.parametrize("level", FEEDBACK_LEVELS)
def test_feedback_is_read_for_what_its_level_shows(level: Any, grader: Grader) -> None:
    assignment = Assignment(
        "double", "Double", "", TestSuite((CallCase("double(2)", 4),)), entry_point="double"
    )
    head = "def double(x):\n"
    seen = {
        kind: read_feedback(render_feedback(grader.grade(assignment, head + body), level))
        for kind, body in {
            "syntax": "    y = 1\n    return 2 * y)\n",
            "runtime": "    y = 1\n    return 2 * z\n",
            "limit": "    while True: pass\n",
            "case": "    return x + 1\n",
            "correct": "    return x + x\n",
        }.items()
    }
    if level == "full":
        assert {kind: shown.sight for kind, shown in seen.items()} == {kind: kind for kind in seen}
        assert (seen["syntax"].line, seen["runtime"].line) == (3, 3)
        assert seen["runtime"].name == "z"
    elif level == "summary":
        assert [seen[kind].sight for kind in ("syntax", "runtime", "limit", "case")] == [
            "syntax",
            "runtime",
            "limit",
            "summary",
        ]
    else:
        expected = "grade" if level == "grade" else "nothing"
        assert {seen[kind].sight for kind in ("syntax", "runtime", "limit", "case")} == {expected}


@pytest.mark.parametrize("code", WEIRD, ids=range(len(WEIRD)))
@pytest.mark.parametrize("sight", SIGHTS)
def test_a_step_from_any_text_is_text(code: str, sight: Sight) -> None:
    programs = [code for _, code in SOLUTIONS[:3]]
    for seed in range(4):
        for known in (programs, [], [code]):
            rng = np.random.default_rng(seed)
            after = next_submission(
                novice(seed), [code, code], Shown(sight, 2), known, rng, Process()
            )
            assert isinstance(after, str)


@given(st.text(alphabet="if x:\n\t =()'\"{}f1+#", max_size=50), st.integers(0, 99))
@settings(deadline=None)
def test_planting_in_any_text_never_raises(code: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    after = plant(code, novice(seed), ("syntax", "runtime", "logic"), 1, rng, Process())
    assert isinstance(after, str)


def test_misconceptions_come_back() -> None:
    code = SOLUTIONS[0][1]
    process = Process(misconceptions=1, misconception_weight=1e6)
    student = next(
        student
        for student in (novice(seed, process) for seed in range(50))
        if KINDS[student.misconceptions[0]].places(Source(code))
    )
    kind = KINDS[student.misconceptions[0]]
    possible = {splice(code, edits) for edits in kind.places(Source(code))}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert plant(code, student, ("runtime", "logic"), None, rng, process) in possible


COURSE = Course("cs1", ASSIGNMENTS, synthetic=True)
TRIED = ("lsn03_flightclock", "lsn05_thermostat", "lsn13_palindrome", "lsn17_runnerup")


def free_play(
    agent: NoviceAgent, ids: tuple[str, ...], steps: int, grader: Grader
) -> list[Episode]:
    """Play `agent` from nothing, at most so many submissions."""
    rules = EpisodeRules(horizon=steps, exit_ends_episode=True)
    episodes = begin([Start(ASSIGNMENTS[id_], f"kim-{id_}") for id_ in ids], rules, grader)
    while running := [episode for episode in episodes if not episode.stop]:
        actions = agent.act([e.dialog() for e in running], [e.info(reveal=False) for e in running])
        play(running, actions, grader, make_reward("tiered"))
    return episodes


def test_an_eager_student_ends_with_a_correct_program(grader: Grader) -> None:
    episodes = free_play(NoviceAgent(COURSE, process=EAGER), TRIED, 40, grader)
    assert [episode.stop for episode in episodes] == ["correct"] * len(TRIED)
    assert max(episode.step for episode in episodes) > 1


def test_the_agent_repairs_code_it_did_not_write(grader: Grader) -> None:
    code = (
        "def runner_up(zahlen):\n    erste = zweite = None\n    for z in zahlen:\n"
        "        if erste is None or z > erste:\n            zweite = erste\n"
        "    return zweite\n"
    )
    assignment = ASSIGNMENTS["lsn17_runnerup"]
    trajectory = Trajectory("eva", assignment.id, None, (Submission(code), Submission(code)))
    rules = EpisodeRules(horizon=30)
    [episode] = begin([Start(assignment, "eva")], rules, grader)
    agent = NoviceAgent(Course("c", ASSIGNMENTS, (trajectory,)), process=EAGER)
    reward = make_reward("tiered")
    play([episode], [f"```python\n{code}```"], grader, reward)
    while not episode.stop:
        play([episode], agent.act([episode.dialog()], [episode.info(reveal=False)]), grader, reward)
    assert episode.stop == "correct"


def test_giving_up_is_opt_in(grader: Grader) -> None:
    hopeless = Process(repair=dict.fromkeys(SIGHTS, -9.0), first_slip=1e6, give_up=1e6)
    quitter = NoviceAgent(COURSE, gives_up=True, process=hopeless)
    assert [e.stop for e in free_play(quitter, TRIED, 6, grader)] == ["exit"] * len(TRIED)
    keeps = free_play(NoviceAgent(COURSE, process=hopeless), TRIED, 6, grader)
    assert not any(is_give_up(code) for episode in keeps for code, _ in episode.turns)


def seat(code: str, student: str = "ann", **changes: Any) -> tuple[Any, Mapping[str, Any]]:
    fmt = DialogFormat()
    assignment = ASSIGNMENTS["lsn13_palindrome"]
    dialog = serialize(assignment, [(code, None)], fmt)
    info = {"student_id": student, "assignment_id": assignment.id, "position": 1, "step": 0}
    return dialog, info | {"code": code} | changes


def test_the_same_seat_gets_the_same_submission_whatever_the_batch() -> None:
    seats = [seat(code, student) for code in (*WEIRD[:4], SOLUTIONS[0][1]) for student in "ab"]
    dialogs, infos = [s[0] for s in seats], [s[1] for s in seats]
    together = NoviceAgent(COURSE, seed=5).act(dialogs, infos)
    alone = [NoviceAgent(COURSE, seed=5).act([d], [i])[0] for d, i in seats]
    assert together == alone
    assert together != NoviceAgent(COURSE, seed=6).act(dialogs, infos)


@pytest.mark.parametrize("code", WEIRD, ids=range(len(WEIRD)))
def test_the_agent_answers_weird_code_with_a_submission(code: str) -> None:
    dialog, info = seat(code)
    [answer] = NoviceAgent(COURSE).act([dialog], [info])
    assert extract_code(answer, code or None).kind != "empty" or not code.strip()


def test_the_seats_own_log_is_not_read() -> None:
    right = ASSIGNMENTS["lsn13_palindrome"].solutions[2]
    unknown = {
        id_: Assignment(a.id, a.title, a.prompt, a.tests, a.entry_point)
        for id_, a in ASSIGNMENTS.items()
    }

    def answers(writer: str) -> list[str]:
        log = Trajectory(writer, "lsn13_palindrome", None, (Submission(right, None, 1.0),))
        agent = NoviceAgent(Course("c", unknown, (log,)), process=EAGER)
        dialog, info = seat(right.replace("found = False", "found = True"), "ann")
        return agent.act([dialog], [info])

    dialog, info = seat(right.replace("found = False", "found = True"), "ann")
    without = NoviceAgent(Course("c", unknown), process=EAGER).act([dialog], [info])
    assert answers("ann") == without
    assert answers("ben") != without


def test_the_seats_own_log_shows_neither_in_the_order_of_peers_nor_in_their_text() -> None:
    first, second = ASSIGNMENTS["lsn13_palindrome"].solutions[:2]
    unknown = {
        id_: Assignment(a.id, a.title, a.prompt, a.tests, a.entry_point)
        for id_, a in ASSIGNMENTS.items()
    }
    peers = {"ben": first, "cem": second}

    def answers(own: str | None) -> list[str]:
        logs = peers if own is None else {"ann": own, **peers}
        course = Course(
            "c",
            unknown,
            tuple(
                Trajectory(student, "lsn13_palindrome", None, (Submission(code, None, 1.0),))
                for student, code in logs.items()
            ),
        )
        agent = NoviceAgent(course, process=EAGER)
        seats = [seat("def f(:\n", "ann", position=position) for position in range(1, 9)]
        return agent.act([dialog for dialog, _ in seats], [info for _, info in seats])

    without = answers(None)
    for code in (first, second, f"# mine\n{first}", f"# mine\n{second}"):
        assert answers(code) == without


def test_a_dialog_is_read_back() -> None:
    dialog, _ = seat("x = 1")
    submitted, shown = read_dialog(dialog)
    assert (submitted, shown.sight) == (["x = 1"], "nothing")


def test_the_documentation_lists_the_catalogue_and_the_parameters() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cs1.md").read_text(encoding="utf-8")
    for kind in catalogue():
        row = f"| `{kind.name}` | {kind.category} | {kind.topic} | {kind.weight:g} | {kind.says} |"
        assert row in page
    for parameter in fields(Process):
        value = getattr(Process(), parameter.name)
        shown = (
            ", ".join(f"{key} {number:g}" for key, number in value.items())
            if isinstance(value, Mapping)
            else f"{value:g}"
        )
        assert f"| `{parameter.name}` | {shown} |" in page
    assert all(source in page for source in LITERATURE.values())


def test_what_a_program_prints_is_not_taken_for_what_the_grader_says() -> None:
    feedback = (
        "Grade: 50/100\nTests passed: 1/2\nYour program runs, but gives a wrong answer.\n\n"
        "Test 2 failed.\n  expected:\n    Your program is correct.\n  got:\n    too long\n"
    )
    assert read_feedback(feedback).sight == "case"


def test_in_logs_without_grades_it_finds_what_is_correct_itself(grader: Grader) -> None:
    assignment = replace(next(iter(ASSIGNMENTS.values())), solutions=())
    right, wrong = SOLUTIONS[0][1], "print('?')\n"

    def submitted(grade: float | None) -> list[str]:
        logs = tuple(
            Trajectory(
                name, assignment.id, None, (Submission(wrong), Submission(right, None, grade))
            )
            for name in ("ann", "ben")
        )
        course = Course("bare", {assignment.id: assignment}, logs)
        agent = NoviceAgent(course, process=EAGER, grader=grader)
        [episode] = begin([Start.at(course, logs[0], 1)], EpisodeRules(), grader)
        return agent.act([episode.dialog()], [episode.info(reveal=False)])

    assert submitted(None) == submitted(1.0) != submitted(0.0)
