"""When students asked for a hint: the `X-HintRequest` events of a ProgSnap2 data set.

A request holds the code at that moment and nothing else: neither what the hint said nor whether
one came. It stands beside the course, not in it: `Course`, its columns and its store stay as they
are. A request is no submission, and every reader, split and curation step would have to carry
along what a single log format has. Curation that drops submissions would also make `after` wrong,
so requests are joined, by student and assignment, with the course as it was loaded.

Events are ordered, programs repaired and rows rejected as by `progsnap2:PATH`, by the same code.
Requests on assignments without tests are left out, as their submissions are.

Not covered: other ways to log help (`X-HintFeedback`, messages of a tutor), and students who ask
for their first hint on an assignment in an earlier term than they first submit to it: the course
may call them otherwise (STUDENT@TERM, see `readers.intake`).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from novicegym.courses.readers.intake import BadRows, Intake
from novicegym.courses.readers.progsnap2 import HINT_REQUEST, read_events, submission_events


@dataclass(frozen=True, slots=True)
class HintRequest:
    """A student asked for a hint."""

    student_id: str
    assignment_id: str
    after: int
    """Submissions she had made to the assignment before; 0 when she asked first of all."""
    code: str
    """Her program at the request; it may differ from her last submission."""
    at: datetime | None = None


def read_hint_requests(
    path: str | os.PathLike[str],
    *,
    tests: str | os.PathLike[str] | None = None,
    events: Collection[str] = (),
    grade_scale: float = 1.0,
    bad_rows: BadRows = "error",
    rejects: str | os.PathLike[str] = "hint_requests.rejects.jsonl",
    repairs: Collection[str] | None = None,
) -> tuple[HintRequest, ...]:
    """Return the requests of the data set at `path`, by student, assignment and order.

    `path` is a directory or a zip. Give the options that the course is loaded with
    (`courses.load.load_with_report`): they say what a submission is, and so what `after` counts.

    Raises:
        UsageError: no such data set, no tests, or an unknown event type.
        CourseError: bad data.
    """
    intake = Intake(os.fspath(path), bad_rows=bad_rows, rejects=Path(rejects), repairs=repairs)
    kept = submission_events(events) | {HINT_REQUEST}
    try:
        name, assignments = read_events(
            os.fspath(path), intake, kept, tests=tests, grade_scale=grade_scale
        )
    finally:
        intake.close()
    both, _ = intake.finish(name, assignments)
    requests = []
    for trajectory in both.trajectories:
        after = 0
        for row in trajectory.submissions:
            if row.logged_feedback == HINT_REQUEST:
                requests.append(HintRequest(*trajectory.key, after, row.code, row.at))
            else:
                after += 1
    return tuple(requests)
