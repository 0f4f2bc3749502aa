"""A person in one of the two chairs for one episode, with a transcript on disk.

The student's chair is a `StudentEnv`, the tutor's a `TutorEnv`, so a person meets what a policy
meets. The transcript is a course (`courses.transcript`): the episode is one trajectory, the logged
prefix included. `logged_feedback` of a submission is the user turn as the student saw it, so the
tutor's message is in it; `dialogs.tutoring.split_message` takes the two apart.

What the person does is on disk before anybody answers: a submission without a grade, a message
that no submission has followed. The transcript has nothing of a session before the first of them.

Covered: both chairs, any start, answers that fail or are interrupted. Not covered: a terminal
(`novicegym.cli.play`); several persons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from novicegym.courses.model import Submission, Trajectory
from novicegym.courses.transcript import Transcript
from novicegym.dialogs.fences import fence
from novicegym.dialogs.serialize import feedback_message
from novicegym.envs.episode import Episode
from novicegym.envs.student import StudentEnv
from novicegym.envs.tutor import TutorEnv
from novicegym.errors import UsageError
from novicegym.grading.feedback import render_feedback

Chair: TypeAlias = Literal["student", "tutor"]


class Session:
    """One episode that a person plays."""

    def __init__(
        self,
        env: StudentEnv | TutorEnv,
        options: Mapping[str, Any],
        *,
        seed: int | None = None,
        transcript: Transcript | None = None,
        name: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Begin the episode that `options` name, see `StudentEnv.reset`.

        env: says which chair it is. seed: of what it draws, the student's luck too.
        name: of the student in the transcript; by default "player",
        in the tutor's chair the logged student or, in free play, the policy in her place.
        now: the clock of the transcript.
        """
        self.chair: Chair = "tutor" if isinstance(env, TutorEnv) else "student"
        self.env = env
        self._transcript, self._now = transcript, now
        self._stored: Trajectory | None = None
        self._times: list[datetime] = []
        env.reset(seed=seed, options=dict(options))
        self._name = name or self._default_name()
        self._stamp()

    @property
    def episode(self) -> Episode:
        """The episode, to be read."""
        return self.env.episode

    @property
    def over(self) -> bool:
        """Whether nothing more can be done."""
        return bool(self.episode.stop)

    @property
    def is_stored(self) -> bool:
        """Whether a transcript has the session: the person has done something."""
        return self._stored is not None

    @property
    def last_code(self) -> str:
        """What the student submitted last; before that, what she is given to begin with."""
        if self.episode.turns:
            return self.episode.turns[-1][0]
        return self.episode.start.assignment.starter or ""

    def feedback(self, turn: int) -> str:
        """Return what the grader told the student of submission `turn` (from 0)."""
        _, verdict = self.episode.turns[turn]
        return "" if verdict is None else render_feedback(verdict, self.env.rules.format.feedback)

    def act(self, text: str) -> None:
        """Submit the program `text`, to the character, or tell the student `text`.

        A message of white space says nothing. Raises UsageError when the episode is over, and what
        a student's policy raises; whatever is raised, the transcript has what was done.
        """
        if self.over:
            raise UsageError(f"the episode is over ({self.episode.stop}); begin another session")
        submitted = len(self.episode.turns)
        self._save(text)
        try:
            self.env.step(fence("python", text) if self.chair == "student" else text)
        finally:
            if len(self.episode.turns) > submitted:
                self._stamp()
                self._save(None)

    def _default_name(self) -> str:
        if isinstance(self.env, StudentEnv):
            return "player"
        start = self.episode.start
        return self.env.student.name if start.trajectory is None else start.student_id

    def _stamp(self, ahead: int = 0) -> None:
        """Note the time of the submissions that are new, and of `ahead` that are being made."""
        new = len(self.episode.turns) + ahead - self.episode.start.position - len(self._times)
        self._times += [self._now() for _ in range(new)]

    def _save(self, unanswered: str | None) -> None:
        """Write the trajectory; `unanswered`: what the person does now, not yet in the episode."""
        if self._transcript is None:
            return
        submissions = self._submissions(unanswered)
        if self._stored is not None:
            self._transcript.grow(replace(self._stored, submissions=submissions))
            return
        start = self.episode.start
        played = Trajectory(self._name, start.assignment.id, start.term or None, submissions)
        self._stored = self._transcript.add(start.assignment, played, synthetic=self._synthetic())

    def _submissions(self, unanswered: str | None) -> tuple[Submission, ...]:
        episode = self.episode
        messages = [*episode.messages]
        submitted = None
        if unanswered is not None and self.chair == "tutor":
            messages[-1] = unanswered.strip()
        elif unanswered is not None:
            self._stamp(ahead=1)
            submitted = Submission(unanswered, self._times[-1])
        log = episode.start.trajectory
        logged = () if log is None else log.submissions[: episode.start.position]
        times = [*(one.at for one in logged), *self._times]
        fmt = self.env.rules.format
        seen = tuple(
            Submission(code, at)
            if verdict is None
            else Submission(
                code, at, float(verdict.grade), feedback_message(verdict, fmt, message)["content"]
            )
            for (code, verdict), message, at in zip(episode.turns, messages, times, strict=False)
        )
        return seen if submitted is None else (*seen, submitted)

    def _synthetic(self) -> bool:
        """Return whether no human wrote any of the submissions."""
        start = self.episode.start
        from_log = start.trajectory is not None and start.position > 0
        return self.chair == "tutor" and (start.synthetic or not from_log)
