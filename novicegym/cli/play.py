"""`novicegym play`: a person in the student's or the tutor's chair.

The episode and its transcript are `envs.session`, lines and editor `terminal`; here is the
command and what is said at the prompt.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from novicegym.cli.options import (
    ERR,
    OUT,
    CourseOption,
    Feedback,
    LogOptions,
    takes_logs,
)
from novicegym.cli.policies import require_agent, require_tutor
from novicegym.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from novicegym.cli.terminal import Terminal
    from novicegym.courses.model import Course
    from novicegym.envs.session import Session
    from novicegym.envs.student import StudentEnv
    from novicegym.envs.tutor import TutorEnv

_CHAIRS = ("student", "tutor")
_LUCKS = 20
"""Beginnings of which a tutor gets the first with something to say, where students have luck."""
_HELP = {
    "student": """\
Type a program and end it with a line that holds a single dot. You then see what changes and are
asked whether to submit it.
  :edit     write it in $VISUAL or $EDITOR, which opens with your last program""",
    "tutor": """\
Type a message to the student, one line. You then see it and are asked whether to send it.
  :edit     write a longer one in $VISUAL or $EDITOR
  :pass     say nothing; the student submits again""",
}
_HELP_FOR_BOTH = """\
  :prompt   the assignment
  :history  all submissions with what was said about them
  :help     this
  :quit     end here; so does Ctrl-D. The transcript is kept"""
_COMMANDS = (":edit", ":prompt", ":history", ":help", ":quit")


@takes_logs
def play(
    *,
    chair: Annotated[
        str, typer.Option("--as", help="Your chair: student or tutor.", show_default=False)
    ],
    course: CourseOption = "cs1",
    logs: LogOptions,
    assignment: Annotated[
        str | None,
        typer.Option(
            "--assignment",
            "-a",
            help="Begin this assignment anew (default: one drawn by --seed). "
            "`novicegym course show COURSE` lists them.",
            show_default=False,
        ),
    ] = None,
    trajectory: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="STUDENT ASSIGNMENT",
            help="Begin within this student's log instead.",
            show_default=False,
        ),
    ] = None,
    position: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --trajectory: logged submissions that have been made (default: a number "
            "drawn by --seed).",
            show_default=False,
        ),
    ] = None,
    tutor: Annotated[
        str | None,
        typer.Option(
            help="In the student's chair, who tutors you: silent, feedback, next_step, bug_hint, "
            "solution; hf:..., vllm: or openai:MODEL; MODULE:FACTORY (default: nobody).",
            show_default=False,
        ),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(
            help="In the tutor's chair, your student: novice, a language model or MODULE:FACTORY "
            "(default: novice).",
            show_default=False,
        ),
    ] = None,
    feedback: Feedback = "full",
    horizon: Annotated[int, typer.Option(min=1, help="Most submissions in a session.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn, and of the policy.")] = 0,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Course directory of the transcript; a later session with the same one adds "
            "to it.",
        ),
    ] = Path("runs/play"),
    name: Annotated[
        str | None,
        typer.Option(
            help="The student's id in the transcript (default: player; in the tutor's chair the "
            "logged student, or the policy in her place).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Take the student's or the tutor's chair yourself, for one episode.

    Standard input may be a pipe: then nothing is asked, what is entered is submitted or said,
    and the end of the input ends the last program and the session.
    """
    from novicegym.cli.terminal import Terminal
    from novicegym.courses.transcript import Transcript
    from novicegym.envs.session import Session
    from novicegym.envs.tutor import TutorEnv

    if chair not in _CHAIRS:
        raise unknown_name("chair", chair, _CHAIRS)
    if assignment is not None and trajectory is not None:
        raise UsageError("--trajectory already names an assignment; drop --assignment")
    if position is not None and trajectory is None:
        raise UsageError("--position goes with --trajectory STUDENT ASSIGNMENT")
    if (tutor if chair == "tutor" else student) is not None:
        raise UsageError(f"you are the {chair} yourself: --{chair} is for the other chair")
    if tutor is not None:
        require_tutor(tutor)
    if student is not None:
        require_agent(student, "student")
    opened = logs.open(course, quiet=True)
    options = _start(opened, assignment, trajectory, position, seed)
    shared: dict[str, Any] = {"horizon": horizon, "feedback": feedback, "past_log": True}
    env: StudentEnv | TutorEnv
    if chair == "student":
        env = _student_env(opened, tutor, seed, shared)
        if trajectory is None:
            options["student"] = name or "player"
    else:
        env = _tutor_env(opened, student or "novice", seed, shared)
    terminal = Terminal(OUT)
    transcript = Transcript(out)
    with terminal.waiting("the student is at work" if chair == "tutor" else "getting ready"):
        session = Session(env, options, seed=seed, transcript=transcript, name=name)
        has_luck = isinstance(env, TutorEnv) and hasattr(env.student, "with_seed")
        for attempt in range(1, _LUCKS if has_luck and trajectory is None else 1):
            if not session.over:
                break
            luck = _other_luck(seed, attempt)
            session = Session(env, options, seed=luck, transcript=transcript, name=name)
    try:
        _open(session, terminal)
        _converse(session, terminal)
        _close(session, terminal)
    finally:
        if session.is_stored:
            ERR.print(f"transcript: {out}, a course: novicegym course stats {out}")


def _other_luck(seed: int, attempt: int) -> int:
    """Return a seed in place of `seed`, under which the student needed no tutor."""
    import numpy as np

    return int(np.random.default_rng([seed, attempt]).integers(2**31))


def _start(
    course: Course,
    assignment: str | None,
    trajectory: tuple[str, str] | None,
    position: int | None,
    seed: int,
) -> dict[str, Any]:
    """Return the reset options of the start that is asked for, or drawn."""
    import numpy as np

    from novicegym.envs.starts import find_trajectory

    rng = np.random.default_rng([seed])
    if trajectory is not None:
        submissions = find_trajectory(course, trajectory).submissions
        if position is None:
            position = int(rng.integers(1, len(submissions))) if len(submissions) > 1 else 0
        return {"trajectory": trajectory, "position": position}
    if assignment is None:
        known = list(course.assignments)
        if not known:
            raise UsageError(f"course {course.name!r} has no assignments")
        assignment = known[int(rng.integers(len(known)))]
    return {"assignment": assignment}


def _student_env(
    course: Course, tutor: str | None, seed: int, shared: dict[str, Any]
) -> StudentEnv:
    from novicegym.agents.tutors.registry import make_tutor
    from novicegym.envs.student import StudentEnv

    made = None if tutor is None else make_tutor(tutor, course, seed)
    return StudentEnv(course, tutor=made, **shared)


def _tutor_env(course: Course, student: str, seed: int, shared: dict[str, Any]) -> TutorEnv:
    from novicegym.agents.registry import make_agent
    from novicegym.dialogs.serialize import DialogFormat
    from novicegym.envs.tutor import TutorEnv

    fmt = DialogFormat(feedback=shared["feedback"])
    return TutorEnv(course, student=make_agent(student, course, seed, fmt=fmt), **shared)


def _open(session: Session, terminal: Terminal) -> None:
    """Show the assignment and where its student stands."""
    _show_prompt(session, terminal)
    count = len(session.episode.turns)
    if count > 1:
        earlier = "1 earlier submission" if count == 2 else f"{count - 1} earlier submissions"
        terminal.text(f"\n{earlier}: see :history")
    if count:
        _show_submission(session, terminal, count - 1, whole=True, known=False)
    if not session.over:
        told = "" if terminal.interactive else "; what comes from a pipe is not asked about"
        terminal.text(f"\nYou are the {session.chair}. :help says what you can do{told}.")


def _converse(session: Session, terminal: Terminal) -> None:
    """Take what the person says until the episode is over or the person ends it."""
    while not session.over:
        try:
            line = terminal.line(f"{session.chair}> ")
        except EOFError:
            if terminal.interactive:
                terminal.text("")
            return
        command = line.strip()
        if command == ":quit":
            return
        if command == ":help":
            terminal.text(f"{_HELP[session.chair]}\n{_HELP_FOR_BOTH}")
        elif command == ":prompt":
            _show_prompt(session, terminal)
        elif command == ":history":
            for turn in range(len(session.episode.turns)):
                _show_submission(session, terminal, turn, whole=turn == 0)
        elif command == ":pass" and session.chair == "tutor":
            _act(session, terminal, "")
        elif command == ":edit":
            _take(session, terminal, None)
        elif command.startswith(":"):
            known = (*_COMMANDS, ":pass") if session.chair == "tutor" else _COMMANDS
            mistake = unknown_name("command", command, known)
            if not terminal.interactive:
                raise mistake  # a script that goes wrong does not go on
            terminal.text(str(mistake))
        elif command:
            _take(session, terminal, line)


def _take(session: Session, terminal: Terminal, line: str | None) -> None:
    """Have a program or message completed, looked at and, if it is wanted, submitted or said.

    line: what was typed at the prompt; None for the editor.
    """
    try:
        text = _composed(session, terminal, line)
    except (EOFError, KeyboardInterrupt):  # while it was typed: the session goes on
        terminal.text("")
        text = None
    if text is None:
        terminal.text("Discarded.")
    else:
        _act(session, terminal, text)


def _composed(session: Session, terminal: Terminal, line: str | None) -> str | None:
    """Return the program or message that is to be submitted or said; None for none."""
    text: str | None = line
    if line is None:
        text = _edit(session, terminal, session.last_code if session.chair == "student" else "")
    elif session.chair == "student":
        text = terminal.block(line)
    while text is not None:
        if not text.strip():
            terminal.text("There is nothing in it.")
            return None
        answer = _ask(session, terminal, text) if terminal.interactive else "s"
        if answer == "s":
            return text
        text = _edit(session, terminal, text) if answer == "e" else None
    return None


def _ask(session: Session, terminal: Terminal, text: str) -> str:
    """Show what would be submitted or said; return s, e or d."""
    terminal.text("")
    if session.chair == "tutor":
        terminal.text(text.strip())
        question = "Send, edit again or discard? [s/e/d] "
    else:
        if not session.last_code.strip():
            terminal.code(text)
        elif session.last_code.rstrip("\n") == text.rstrip("\n"):
            terminal.text("Nothing has changed since the last submission.")
        else:
            terminal.diff(session.last_code, text)
        question = "Submit, edit again or discard? [s/e/d] "
    while (answer := terminal.line(question).strip().lower()[:1]) not in ("s", "e", "d"):
        terminal.text("Type s, e or d; after d, :quit ends.")
    return answer


def _edit(session: Session, terminal: Terminal, text: str) -> str | None:
    """Return what the editor makes of `text`, or without an editor what is typed instead."""
    from novicegym.cli.terminal import NoEditorError

    what = "program" if session.chair == "student" else "message"
    try:
        edited = terminal.edit(text, "program.py" if what == "program" else "message.txt")
    except NoEditorError as reason:
        terminal.text(
            f"No editor: {reason}. Type the whole {what}; a line with a single dot ends it."
        )
        return terminal.block()
    if edited is None:
        terminal.text("The editor ended with an error, so its file was not taken.")
    return edited


def _act(session: Session, terminal: Terminal, text: str) -> None:
    """Submit or say it, and show what comes of it."""
    before = len(session.episode.turns)
    waits_for = "grading" if session.chair == "student" else "the student is at work"
    with terminal.waiting(waits_for):
        session.act(text)
    for turn in range(before, len(session.episode.turns)):
        _show_submission(session, terminal, turn, whole=session.chair == "tutor", own=True)
    if terminal.interactive:
        terminal.text("")  # the prompt stands apart


def _show_prompt(session: Session, terminal: Terminal) -> None:
    assignment = session.episode.start.assignment
    terminal.heading(f"{assignment.title} ({assignment.id})")
    terminal.prose(assignment.prompt.strip())
    name = assignment.entry_point
    if name and name not in assignment.prompt and name not in (assignment.starter or ""):
        terminal.text(f"\nThe function is called {name}.")
    if assignment.starter:
        terminal.text("\nStart from this code:")
        terminal.code(assignment.starter)


def _show_submission(
    session: Session,
    terminal: Terminal,
    turn: int,
    *,
    whole: bool,
    known: bool = True,
    own: bool = False,
) -> None:
    """Show a submission, what the grader says and what a tutor says.

    whole: the program with the changed lines marked, not the changes. known: the person has seen
    the submission before it. own: she has just acted, so a program of her own is not shown again.
    """
    episode = session.episode
    code, _ = episode.turns[turn]
    previous = episode.turns[turn - 1][0] if turn else ""
    logged = " (logged)" if turn < episode.start.position else ""
    terminal.heading(f"Submission {turn + 1}{logged}")
    if not (own and session.chair == "student"):
        if turn and known and code == previous:
            terminal.text("(the same program again)", "dim")
        elif whole:
            terminal.code(code, previous)
        else:
            terminal.diff(previous, code)
        terminal.text("")
    terminal.text(session.feedback(turn), "dim" if session.chair == "tutor" else "")
    message, failure = episode.messages[turn], episode.tutor_failures[turn]
    if message:
        terminal.heading("Tutor")
        terminal.text(message)
    if failure:
        terminal.text(f"(The tutor says nothing: {failure})")


def _close(session: Session, terminal: Terminal) -> None:
    """Say how the episode ended, if it did."""
    count = len(session.episode.turns)
    if session.episode.stop == "correct":
        terminal.text(f"\nSolved: submission {count} is fully correct.", "bold green")
    elif session.over:
        made = session.episode.step
        counted = "1 submission" if made == 1 else f"{made} submissions"
        terminal.text(f"\nThe session ends here, after {counted} (--horizon).", "bold")
    if session.over and session.chair == "tutor" and not session.is_stored:
        terminal.text("She needed no tutor: another --seed begins with other luck.")
