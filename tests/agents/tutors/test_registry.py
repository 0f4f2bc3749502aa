"""Tutors by name."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from novicegym.agents.tutors.registry import TUTORS, describe_tutors, make_tutor
from novicegym.errors import UsageError


@pytest.mark.parametrize("name", TUTORS)
def test_every_tutor_of_ours_is_made_by_its_name(make_course, double, name) -> None:
    tutor = make_tutor(name, make_course(double, {}), seed=1)
    assert tutor.name == name
    assert name in dict(describe_tutors())
    assert tutor.act([], []) == []
    assert pickle.loads(pickle.dumps(tutor)).name == name


@pytest.mark.parametrize("name", TUTORS)
def test_what_is_said_depends_on_the_state_alone(cs1, grader, logged_states, name) -> None:
    states = logged_states(cs1, 23)
    one, two = (make_tutor(name, cs1, seed, grader=grader) for seed in (0, 1))
    said = one.act([[]] * len(states), states)
    backwards = two.act([[]] * len(states), states[::-1])
    assert said == backwards[::-1]


def test_any_tutor_can_wait_to_be_asked(make_course, double) -> None:
    course = make_course(double, {})
    assert make_tutor("on_request:bug_hint", course).name == "on_request(bug_hint)"
    with pytest.raises(UsageError, match="bug_hint"):
        make_tutor("on_request:bug_hnt", course)


def test_hash_seeds_change_nothing() -> None:
    """Nothing that is said comes out of the order of a set."""
    script = (
        "from dataclasses import replace\n"
        "from itertools import islice\n"
        "from novicegym.agents.tutors.registry import TUTORS, make_tutor\n"
        "from novicegym.courses.load import load_course\n"
        "from novicegym.grading.grader import Grader\n"
        "course = load_course('cs1')\n"
        "all = (t for t in course.trajectories if t.assignment_id == 'lsn12_checkdigit')\n"
        "few = tuple(islice(all, 4))\n"
        "course = replace(course, trajectories=few)\n"
        "assignment = course.assignment('lsn12_checkdigit')\n"
        "with Grader(workers=1) as grader:\n"
        "    for each in few:\n"
        "        code = each.submissions[0].code\n"
        "        verdict = grader.grade(assignment, code)\n"
        "        info = dict(student_id=each.student_id, assignment_id=assignment.id, code=code,\n"
        "                    grade=float(verdict.grade), outcome=verdict.outcome,\n"
        "                    case_bits=verdict.case_bits)\n"
        "        for name in TUTORS:\n"
        "            print(make_tutor(name, course, grader=grader).act([[]], [info]))\n"
    )
    out = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONHASHSEED": seed, "NOVICEGYM_CACHE": "off", "PATH": "/usr/bin:/bin"},
        )
        assert run.returncode == 0, run.stderr
        out.append(run.stdout)
    assert out[0] == out[1]
    assert "Look at line" in out[0]


def test_anybodys_factory_gets_the_course_and_the_seed(
    make_course, double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_tutors.py").write_text(
        "class Mine:\n"
        "    def __init__(self, course, seed):\n"
        "        self.name = f'{course.name}-{seed}'\n"
        "    def act(self, dialogs, infos):\n"
        "        return ['Hm.' for _ in dialogs]\n"
        "def nothing(course, seed):\n"
        "    return 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    course = make_course(double, {})
    tutor = make_tutor("my_tutors:Mine", course, seed=7)
    assert tutor.name == "test-7"
    assert tutor.act([[]], [{}]) == ["Hm."]
    with pytest.raises(UsageError, match=r"tutor 'my_tutors:nothing': .* a tutor has a name"):
        make_tutor("my_tutors:nothing", course)


@pytest.mark.parametrize(
    ("spec", "sampling", "message"),
    [
        ("nextstep", {}, "unknown tutor 'nextstep'. Did you mean 'next_step'.*module:factory"),
        ("hf:", {}, "unknown tutor 'hf:'"),
        ("no_such_module:make", {}, "tutor 'no_such_module:make': there is no module"),
        ("feedback", {"temperature": 0.7}, "tutor 'feedback' does not sample"),
        ("hf:x", {"top_p": 0.5}, "top_p 0.5 changes nothing at temperature 0"),
        ("hf:/no/such/model", {}, "/no/such/model"),
    ],
)
def test_what_is_no_tutor_is_one_clear_line(make_course, double, spec, sampling, message) -> None:
    with pytest.raises(UsageError, match=message):
        make_tutor(spec, make_course(double, {}), **sampling)
