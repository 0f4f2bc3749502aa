"""`novicegym play`: from a pipe, and as a person at a terminal meets it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from novicegym.cli import app
from novicegym.courses.load import load_course
from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.courses.store import save_course
from novicegym.dialogs.tutoring import split_message
from novicegym.errors import UsageError

WRONG = "def add(a, b):\n    return a - b\n"
RIGHT = "def add(a, b):\n    return a + b\n"

# A tutor and a student of a user's own, beside the course they play on.
PARTNERS = """
class Says:
    name = "mine"
    def __init__(self, texts):
        self.texts = iter(texts)
    def act(self, dialogs, infos):
        return [next(self.texts) for _ in dialogs]

def tutor(course, seed):
    return Says(["Plus?\\x1b[2J\\u202e", "Once more."])

def student(course, seed):
    return Says(["def add(a, b):\\n    return a * b", "def add(a, b):\\n    return a + b"])

def able(course, seed):
    return Says(["def add(a, b):\\n    return a + b"])

def deaf(course, seed):
    student = Says([])
    student.listens = False
    return student
"""


@pytest.fixture
def folder(tmp_path: Path, small_course: Course, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a course directory `logs` and a module `partners`."""
    codes = ('"""\x1b]0;owned\x07"""', WRONG, RIGHT)
    hostile = Trajectory("eve", "add", "t1", tuple(map(Submission, codes)))
    course = Course("small", small_course.assignments, (*small_course.trajectories, hostile))
    save_course(course, tmp_path / "logs")
    (tmp_path / "partners.py").write_text(PARTNERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds the current folder
    monkeypatch.delitem(sys.modules, "partners", raising=False)
    return tmp_path


def play(typed: str | bytes, *arguments: str) -> Result:
    """Run the command in this process, its standard input no terminal."""
    return CliRunner().invoke(app, ["play", "-c", "logs", "-o", "t", *arguments], input=typed)


def transcript(folder: Path) -> dict[tuple[str, str], Trajectory]:
    return {one.key: one for one in load_course(str(folder / "t")).trajectories}


def test_student_plays_from_a_pipe_with_a_tutor(folder: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "novicegym", "play", "-c", "logs", "-o", "t"]
    result = subprocess.run(
        [*command, "--as", "student", "-a", "add", "--tutor", "partners:tutor"],
        input=f":help\n{WRONG}.\n:history\n:prompt\n:edit\n{RIGHT}",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "Write a function add(a, b)" in result.stdout
    assert "Grade: 25/100" in result.stdout
    assert "No editor: standard input is no terminal" in result.stdout
    assert "Solved: submission 2 is fully correct." in result.stdout
    assert "student>" not in result.stdout  # nobody is asked
    assert "\x1b" not in result.stdout
    assert r"Plus?\x1b[2J\u202e" in result.stdout
    assert "course stats t" in result.stderr
    first, second = transcript(folder)["player", "add"].submissions
    assert (first.code, first.logged_grade) == (WRONG, 0.25)
    assert (second.code, second.logged_grade) == (RIGHT, 1.0)
    assert split_message(first.logged_feedback or "")[1] == "Plus?\x1b[2J\u202e"


def test_second_session_adds_to_the_transcript(folder: Path) -> None:
    for _ in range(2):
        result = play(RIGHT, "--as", "student", "-a", "add")
        assert result.exit_code == 0, result.stderr
    assert transcript(folder).keys() == {("player", "add"), ("player@2", "add")}


def test_tutor_plays_from_a_pipe(folder: Path) -> None:
    arguments = ("--as", "tutor", "-a", "add", "--student", "partners:student")
    result = play("Plus?\n", *arguments)
    assert result.exit_code == 0, result.stderr
    assert "return a * b" in result.stdout
    assert "Submission 2" in result.stdout
    first, _ = transcript(folder)["mine", "add"].submissions
    assert split_message(first.logged_feedback or "")[1] == "Plus?"


def test_a_student_who_is_right_at_once_leaves_nothing_to_say(folder: Path) -> None:
    result = play("Plus?\n", "--as", "tutor", "-a", "add", "--student", "partners:able")
    assert result.exit_code == 0, result.stderr
    assert "Solved: submission 1" in result.stdout
    assert "needed no tutor: another --seed" in result.stdout
    assert transcript(folder) == {}


def test_a_tutor_begins_where_there_is_something_to_say(folder: Path) -> None:
    """The student's luck is tried until she is wrong at first; the same seed finds the same."""
    for seed in range(3):
        arguments = ("--as", "tutor", "-a", "lsn02_fuelcost", "-c", "cs1", "--seed", str(seed))
        shown = play("", *arguments).stdout
        assert "She needed no tutor" not in shown
        assert play("", *arguments).stdout == shown


def test_tutor_of_the_novice_within_a_log_says_nothing(folder: Path) -> None:
    arguments = ("--as", "tutor", "--trajectory", "ann", "add", "--position", "2", "--horizon", "1")
    result = play(":pass\n", *arguments)
    assert result.exit_code == 0, result.stderr
    assert "1 earlier submission:" in result.stdout
    assert "Submission 2 (logged)" in result.stdout
    assert len(transcript(folder)["ann", "add"].submissions) == 3
    assert "She needed no tutor" not in result.stdout


def test_log_cannot_drive_the_terminal(folder: Path) -> None:
    arguments = ("--as", "student", "--trajectory", "eve", "add", "--position", "2")
    result = play(":history\n", *arguments, "--name", "me")
    assert result.exit_code == 0, result.stderr
    assert not set("\x1b\x07") & set(result.stdout)
    assert r"\x1b]0;owned\x07" in result.stdout
    assert transcript(folder) == {}  # nothing was done


def test_input_that_is_no_text_is_submitted_with_replacements(folder: Path) -> None:
    result = play(b"x = '\xff'\r\n.\r\n", "--as", "student", "-a", "add")
    assert result.exit_code == 0, result.stderr
    [submission] = transcript(folder)["player", "add"].submissions
    assert submission.code == "x = '\ufffd'\n"


def test_what_is_drawn_follows_the_seed(folder: Path) -> None:
    def drawn(seed: int) -> str:
        result = play("", "--as", "student", "--seed", str(seed))
        assert result.exit_code == 0, result.stderr
        return result.stdout

    assert drawn(0) == drawn(0)
    assert len({drawn(seed) for seed in range(5)}) == 2  # of two assignments


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (["--as", "teacher"], "", "unknown chair 'teacher'"),
        (["--as", "tutor", "--tutor", "silent"], "", "--tutor is for the other chair"),
        (["--as", "student", "--student", "novice"], "", "--student is for the other chair"),
        (["--as", "student", "-a", "ad"], "", "Did you mean 'add'"),
        (["--as", "student", "--position", "1"], "", "--position goes with --trajectory"),
        (["--as", "student", "--trajectory", "ann", "ad"], "", "no trajectory of student 'ann'"),
        (["--as", "student", "--trajectory", "ann", "add", "--position", "9"], "", "0 to 4"),
        (["--as", "student", "--trajectory", "ann", "add", "-a", "add"], "", "--assignment"),
        (["--as", "student", "--tutor", "solutoin"], "", "Did you mean 'solution'"),
        (["--as", "student", "--feedback", "loud"], "", "unknown feedback level"),
        (["--as", "tutor", "--feedback", "loud"], "", "unknown feedback level"),
        (["--as", "tutor", "--student", "partners:deaf"], "", "does not listen"),
        (["--as", "student", "-o", "logs"], "", "neither a transcript"),
        (["--as", "student"], ":pass\n", "unknown command ':pass'"),
        (["--as", "tutor"], ":hitory\n", "Did you mean ':history'"),
    ],
)
def test_mistakes_are_told(arguments: list[str], typed: str, message: str, folder: Path) -> None:
    result = play(typed, *arguments)
    assert isinstance(result.exception, UsageError), result.output
    assert message in str(result.exception)


# The command as the leader of a terminal of its own, so that Ctrl-C reaches it.
IN_TERMINAL = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv = ["novicegym", *sys.argv[1:]]
runpy.run_module("novicegym", run_name="__main__")
"""


class Person:
    """Types to a command in a pseudo-terminal of 80 columns and reads what it shows."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.terminal, inside = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", IN_TERMINAL, *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", **environment},
            start_new_session=True,
        )
        os.close(inside)

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def sees(self, *texts: str) -> str:
        """Return what was shown up to the last of `texts`, which come in this order."""
        shown, ends = "", time.monotonic() + 30
        while True:
            rest = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "")
            for text in texts:
                _, found, rest = rest.partition(text)
                if not found:
                    break
            else:
                return shown
            assert select.select([self.terminal], [], [], ends - time.monotonic())[0], shown
            try:
                shown += os.read(self.terminal, 65536).decode()
            except OSError:  # the other end is closed
                raise AssertionError(shown) from None

    def interrupts(self) -> None:
        """Type Ctrl-C once the command waits for a key.

        A signal between its prompt and that moment is only looked at after another key.
        """
        status = Path(f"/proc/{self.process.pid}/stat")
        while status.read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.01)
        self.type("\x03")

    def leaves(self) -> int:
        """Return the exit code; the terminal is open until then."""
        status = self.process.wait(30)
        os.close(self.terminal)
        return status

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *raised: object) -> None:
        if self.process.poll() is None:  # a test has failed
            self.process.kill()
            self.leaves()


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[str]:
    """A command with an argument: mends the program, or fails at a second message."""
    script = tmp_path / "my editor"
    script.write_text(f"#!{sys.executable}\nimport sys\n" + EDITOR)
    script.chmod(0o700)
    return f"'{script}' --wait"


EDITOR = """
assert sys.argv[1] == "--wait"
with open(sys.argv[2]) as file:
    text = file.read()
if "+" in text:
    sys.exit(1)
with open(sys.argv[2], "w") as file:
    file.write(text.replace("a - b", "a + b"))
"""


def test_person_at_a_terminal(folder: Path, editor: str) -> None:
    arguments = ("play", "--as", "student", "-c", "logs", "-a", "add", "-o", "t")
    with Person(folder, *arguments, EDITOR=editor, VISUAL="") as person:
        person.sees("Add (add)", "You are the student. :help", "student> ")
        person.type("def add(a, b):\n    return a - b\n.\n")
        shown = person.sees("  2 |", "  3 |", "1 def add(a, b):", "2     return a - b", "[s/e/d] ")
        assert re.search(r"\x1b\[[0-9;]+mdef\x1b", shown)  # in colours
        person.type("d\n")  # a typo, undone
        person.sees("Discarded.", "student> ")
        person.type("def add(a, b):\n    return a - b\n.\nx\ns\n")
        person.sees("Type s, e or d;", "Submission 1", "Grade: 25/100", "student> ")
        assert [one.code for one in transcript(folder)["player", "add"].submissions] == [WRONG]
        person.type(":edit\n")  # opens with what was submitted last
        person.sees("-    return a - b", "+    return a + b", "[s/e/d] ")
        person.type("e\n")
        person.sees("The editor ended with an error", "Discarded.", "student> ")
        person.type("def oops(\n")
        person.sees("  2 | ")
        person.interrupts()  # while a program is typed: the session goes on
        person.sees("Discarded.", "student> ")
        person.type(":nonsense\n")
        person.sees("unknown command ':nonsense'", "student> ")
        person.type(":edit\n")
        person.sees("[s/e/d] ")
        person.type("s\n")
        person.sees("Grade: 100/100", "Solved: submission 2", "transcript: t")
        assert person.leaves() == 0
        assert [one.code for one in transcript(folder)["player", "add"].submissions] == [
            WRONG,
            RIGHT,
        ]


def test_person_without_an_editor_types_a_message(folder: Path) -> None:
    arguments = ("play", "--as", "tutor", "-c", "logs", "-a", "add", "-o", "t")
    with Person(
        folder, *arguments, "--student", "partners:student", EDITOR="", VISUAL="/no/such -x"
    ) as person:
        person.sees("return a * b", "You are the tutor.", "tutor> ")
        person.type(":edit\n")
        person.sees("No editor: $VISUAL (/no/such -x) cannot be started", "single dot", "| ")
        person.type("Look at\nline 2.\n.\n")
        person.sees("Look at\nline 2.", "Send, edit again or discard? [s/e/d] ")
        person.type("s\n")
        person.sees("Submission 2", "2     return a + b", "Solved: submission 2", "transcript: t")
        assert person.leaves() == 0
        first, _ = transcript(folder)["mine", "add"].submissions
        assert split_message(first.logged_feedback or "")[1] == "Look at\nline 2."


@pytest.mark.parametrize(("ends", "status"), [("\x03", 130), ("\x04", 0)])
def test_what_was_submitted_is_kept_when_the_person_leaves(
    ends: str, status: int, folder: Path
) -> None:
    arguments = ("play", "--as", "student", "-c", "logs", "-a", "add", "-o", "t")
    with Person(folder, *arguments) as person:
        person.sees("student> ")
        person.type("x = 1\n.\ns\n")
        person.sees("Grade: 0/100", "student> ")
        person.interrupts() if ends == "\x03" else person.type(ends)
        person.sees("transcript: t")
        assert person.leaves() == status
        assert [one.code for one in transcript(folder)["player", "add"].submissions] == ["x = 1\n"]
