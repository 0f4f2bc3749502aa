from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from novicegym.courses.model import Course
from novicegym.envs.student import StudentEnv
from novicegym.grading.grader import Grader

HOSTILE = "def add(a, b):\n    return '</pre><script>alert(1)</script>\x1b[2J{body}\ud800'"


@pytest.mark.parametrize("mode", ["ansi", "html"])
def test_render_shows_prompt_submissions_and_feedback(
    small_course: Course, grader: Grader, mode: str
) -> None:
    env = StudentEnv(small_course, grader=grader, render_mode=mode)
    env.reset(options={"trajectory": ("ann", "add"), "position": 2})
    env.step("def add(a, b):\n    return 7")
    picture = env.render()
    assert picture is not None
    for text in ("returns the sum", "return a - b", "return 7", "policy", "25%"):
        assert text in picture


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)


def test_hostile_code_cannot_leave_the_page_or_drive_the_terminal(
    small_course: Course, grader: Grader
) -> None:
    for mode in ("ansi", "html"):
        # A log's ids and prompts come from anywhere, too.
        task = replace(small_course.assignment("add"), prompt=HOSTILE, title=HOSTILE)
        course = Course("hostile", {"add": task}, small_course.trajectories[:1])
        env = StudentEnv(course, grader=grader, render_mode=mode)
        env.reset(options={"trajectory": ("ann", "add"), "position": 2})
        env.step(HOSTILE)
        picture = env.render()
        assert picture is not None
        picture.encode()
        if mode == "html":
            tags = Tags()
            tags.feed(picture)
            assert "script" not in tags.seen
            assert not re.search(r"(src|href)=", picture)
        else:
            assert "\x1b[2J" not in picture


@pytest.mark.parametrize("mode", ["ansi", "html"])
def test_picture_says_that_a_student_is_synthetic(
    small_course: Course, grader: Grader, mode: str
) -> None:
    for synthetic in (False, True):
        course = replace(small_course, synthetic=synthetic)
        env = StudentEnv(course, grader=grader, render_mode=mode)
        env.reset(seed=0)
        assert ("synthetic student" in str(env.render())) is synthetic


class Echo:
    """A tutor that repeats the hostile submission, or fails with it."""

    name = "echo"

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def act(self, dialogs: object, infos: Sequence[Mapping[str, Any]]) -> list[str]:
        if self.fails:
            raise RuntimeError(infos[0]["code"])
        return [info["code"] for info in infos]


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_tutor_says_is_shown_and_can_do_no_harm(
    small_course: Course, grader: Grader, fails: bool
) -> None:
    hostile = HOSTILE.replace("def", "deaf")
    for mode in ("ansi", "html"):
        env = StudentEnv(small_course, grader=grader, render_mode=mode, tutor=Echo(fails))
        env.reset(options={"trajectory": ("ann", "add"), "position": 2})
        env.step(hostile)
        picture = env.render()
        assert picture is not None
        picture.encode()
        assert ("The tutor failed" if fails else "Tutor") in picture
        assert picture.count("deaf add") == 2
        tags = Tags()
        tags.feed(picture)
        assert mode == "ansi" or "script" not in tags.seen
        assert mode == "html" or "\x1b[2J" not in picture


@pytest.mark.parametrize("mode", ["ansi", "html"])
def test_a_silent_tutor_is_not_in_the_picture(
    small_course: Course, grader: Grader, mode: str
) -> None:
    pictures = []
    for tutor in (None, Silent()):
        env = StudentEnv(small_course, grader=grader, render_mode=mode, tutor=tutor)
        env.reset(seed=0)
        pictures.append(env.render())
    assert pictures[0] == pictures[1]


class Silent:
    name = "silent"

    def act(self, dialogs: Sequence[object], infos: object) -> list[str]:
        return [""] * len(dialogs)
