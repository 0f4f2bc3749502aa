"""Pictures of an episode: terminal text, and one self-contained HTML page.

The page loads nothing from anywhere and escapes everything a student or a model wrote.
"""

from __future__ import annotations

import difflib
import html
from typing import TYPE_CHECKING

from novicegym.grading.feedback import render_feedback

if TYPE_CHECKING:
    from novicegym.envs.episode import Episode
    from novicegym.grading.verdict import Verdict

_STOPS = {
    "": "still running",
    "correct": "ended: the submission is fully correct",
    "exit": "ended: gave up",
    "horizon": "cut off at the horizon",
    "logged_end": "cut off: the logged student submitted no more",
}

_BOLD, _DIM, _RED, _GREEN, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[0m"


def render_episode(episode: Episode, mode: str) -> str:
    """Return the picture of a render mode: "ansi" or "html"."""
    return render_ansi(episode) if mode == "ansi" else render_html(episode)


def render_ansi(episode: Episode) -> str:
    """Return the episode as text with terminal colours: assignment, submissions, feedback."""
    start = episode.start
    task = start.assignment
    lines = [f"{_BOLD}{printable(task.title)}{_PLAIN} ({printable(task.id)})"]
    lines += [printable(_student(episode)), "", printable(task.prompt)]
    previous = ""
    for number, (code, verdict) in enumerate(episode.turns, start=1):
        lines += ["", f"{_BOLD}{_heading(episode, number, verdict)}{_PLAIN}"]
        for mark, line in _changed_lines(previous, code):
            colour = _GREEN if mark == "+" else _RED if mark == "-" else ""
            lines.append(f"{colour}{mark} {printable(line)}{_PLAIN if colour else ''}")
        if verdict is not None:
            feedback = printable(render_feedback(verdict, "full"))
            lines += [f"{_DIM}{line}{_PLAIN}" for line in feedback.splitlines()]
        for heading, text in _tutor_texts(episode, number):
            lines += ["", f"{_BOLD}{heading}{_PLAIN}", *printable(text).splitlines()]
        previous = code
    return "\n".join([*lines, "", _STOPS[episode.stop]])


def render_html(episode: Episode) -> str:
    """Return the episode as an HTML page: each submission with its changes and its feedback."""
    start = episode.start
    title = html.escape(f"{start.assignment.title} ({start.assignment.id})")
    parts = [
        f"<h1>{title}</h1>",
        f"<p>In the seat of {html.escape(_student(episode))}: "
        f"{start.position} logged submissions, then {episode.step} by the policy. "
        f"{html.escape(_STOPS[episode.stop]).capitalize()}.</p>",
        f"<pre class='prompt'>{html.escape(start.assignment.prompt)}</pre>",
    ]
    previous = ""
    for number, (code, verdict) in enumerate(episode.turns, start=1):
        body = "\n".join(
            f"<span class='{_CLASSES[mark]}'>{mark} {html.escape(line)}</span>"
            for mark, line in _changed_lines(previous, code)
        )
        feedback = html.escape(render_feedback(verdict, "full")) if verdict else ""
        kind = "logged" if number <= start.position else "policy"
        parts.append(
            f"<section class='{kind}'><h2>{html.escape(_heading(episode, number, verdict))}</h2>"
            f"<pre class='code'>{body}</pre><pre class='feedback'>{feedback}</pre></section>"
        )
        parts += [
            f"<section class='tutor'><h2>{heading}</h2><pre>{html.escape(text)}</pre></section>"
            for heading, text in _tutor_texts(episode, number)
        ]
        previous = code
    head, foot = _PAGE.replace("{title}", title, 1).rsplit("{body}", 1)
    page = head + "\n".join(parts) + foot
    return page.encode("utf-8", "replace").decode()  # a page with a lone surrogate has no file


def _student(episode: Episode) -> str:
    kind = "synthetic student" if episode.start.synthetic else "student"
    return f"{kind} {episode.start.student_id or '-'}"


def _heading(episode: Episode, number: int, verdict: Verdict | None) -> str:
    who = "logged" if number <= episode.start.position else "policy"
    if verdict is None:
        return f"Submission {number} ({who}): gave up"
    return f"Submission {number} ({who}): {float(verdict.grade):.0%}, {verdict.outcome}"


def _tutor_texts(episode: Episode, number: int) -> list[tuple[str, str]]:
    """Return (heading, text) of what the tutor said after a submission, or why it failed."""
    message, failure = episode.messages[number - 1], episode.tutor_failures[number - 1]
    texts = [("Tutor", message), ("The tutor failed", failure)]
    return [(heading, text) for heading, text in texts if text]


def _changed_lines(previous: str, code: str) -> list[tuple[str, str]]:
    """Return (mark, line): "+" added, "-" removed, " " kept; nothing is marked at first."""
    after = code.splitlines()
    if not previous:
        return [(" ", line) for line in after]
    marked = []
    before = previous.splitlines()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            marked += [(" ", line) for line in after[j1:j2]]
        else:
            marked += [("-", line) for line in before[i1:i2]]
            marked += [("+", line) for line in after[j1:j2]]
    return marked


def printable(text: str) -> str:
    """Escape what could drive the reader's terminal: logs and programs may hold any character."""
    return "".join(
        char if char in "\n\t" or char.isprintable() else repr(char)[1:-1] for char in text
    )


_CLASSES = {"+": "added", "-": "removed", " ": "kept"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  line-height: 1.45; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .7rem; border-radius: .3rem;
  background: light-dark(#f4f4f2, #22252a); margin: .4rem 0; }
section { border-left: .3rem solid light-dark(#b8b8b0, #555a63); padding-left: 1rem;
  margin: 1.6rem 0; }
section.policy { border-color: light-dark(#2f6fb0, #7db3e8); }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; }
.added { background: light-dark(#d8f0d8, #1f4426); }
.removed { background: light-dark(#f8dcdc, #55262a); text-decoration: line-through; }
.feedback { font-size: .9rem; background: none; border: 1px solid light-dark(#d0d0c8, #444a52); }
</style></head><body>
{body}
</body></html>
"""
