"""Where in a course's logs to find a student's trajectory, or all of an assignment.

Holds ids and indices only; trajectories are read from the course when asked for.
"""

from __future__ import annotations

from collections import defaultdict

from novicegym.courses.model import Course, Trajectory


class LogIndex:
    """The logs of one course by student and by assignment. Built in one pass, at first use."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._by_assignment: dict[str, dict[str, int]] | None = None
        self._latest: Trajectory | None = None

    def trajectory(self, student_id: str, assignment_id: str) -> Trajectory | None:
        """Return the student's trajectory on the assignment; None where there is none."""
        # A batch holds many states of one trajectory, and a stored course decodes on access.
        if self._latest is None or self._latest.key != (student_id, assignment_id):
            place = self._places(assignment_id).get(student_id)
            if place is None:
                return None
            self._latest = self._course.trajectories[place]
        return self._latest

    def of_assignment(self, assignment_id: str) -> list[Trajectory]:
        """Return the assignment's trajectories, by student id."""
        # Read in the order they are stored: jumping about decodes a stored course over and over.
        places = sorted(self._places(assignment_id).values())
        return sorted(
            (self._course.trajectories[place] for place in places),
            key=lambda trajectory: trajectory.student_id,
        )

    def _places(self, assignment_id: str) -> dict[str, int]:
        if self._by_assignment is None:
            self._by_assignment = defaultdict(dict)
            for place, trajectory in enumerate(self._course.trajectories):
                self._by_assignment[trajectory.assignment_id][trajectory.student_id] = place
        return self._by_assignment.get(assignment_id, {})
