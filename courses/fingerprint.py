"""A hash of a course: whether two runs had the same data."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from novicegym.courses.model import Course
from novicegym.courses.suite import suite_to_json


# A course is immutable and compared by identity; a rollout asks for the same one as what is
# played and as what the agent looks things up in, and each asking reads the whole log.
@lru_cache(maxsize=2)
def course_fingerprint(course: Course) -> str:
    """Return a hash of all an assignment tells a policy or grades, and of every trajectory."""
    digest = hashlib.sha256()
    for assignment in course.assignments.values():
        suite = json.dumps(suite_to_json(assignment.tests), sort_keys=True)
        told = (assignment.prompt, assignment.entry_point or "", assignment.starter or "")
        _update(digest, assignment.id, suite, *told, *assignment.solutions)
    for trajectory in course.trajectories:
        _update(digest, trajectory.student_id, trajectory.assignment_id)
        _update(digest, *(submission.code for submission in trajectory.submissions))
    return digest.hexdigest()


def _update(digest: Any, *texts: str) -> None:
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
