"""What a tutor's message is worth: pure functions of one message, composed by weights.

A tutor reward is scored once a message, when the student's next submission has been graded; a
message of "" is scored too. Specs are as in `novicegym.rewards.base`: a name, "cost:64", or an
object of names and weights. All are larger for the better, so that weights are positive.

    name        range      what                                              known
    gain        [-1, 1]    grade after the message minus grade before        at every message
    solve       [0, 1]     1 if the episode ends with a correct program      at its end
    speed       [0, 1]     the same, and the sooner the more                 at its end
    cost        [-1, 0]    half for saying anything, half for its length     at every message
    leak        [-1, 0]    share of a correct solution that it gives away    at every message
    retention   [0, 1]     grade on the next assignment without the tutor    at its end
    post_solve  [0, 1]     share of K more programs that solve it            at its end

What is not known scores 0. For the last two a student submits more than the episode has:
`follow_up` says what, `novicegym.envs.afterwards` plays it. `DEFAULT_TUTOR_REWARD` is for want of
a better one: progress counts, giving the solution away takes all of it back, and of two tutors
that teach as well the quieter one wins.

Sources. post_solve, or post_solve:K, is r_sol, the share of K = 8 final answers of the student
model that are right given the dialogue, of Dinucu-Jianu, Macina, Daheim, Hakimi, Gurevych and
Sachan, From Problem-Solving to Teaching Problem-Solving: Aligning LLMs with Pedagogy using
Reinforcement Learning, EMNLP 2025, pages 272-292 (arXiv:2505.15607; code eth-lre/PedagogicalRL).
Their reward is r_sol + (r_ped - 1) lambda, where r_ped is 1 if language models that judge the
dialogue accept it and 0 if not. {"post_solve": 1, "leak": lambda} has that form, with a measured
share in the place of judges, and knows nothing of pedagogy but the leak. The others are
definitions of our own; for the leak see `novicegym.rewards.leak`.

Not covered: rewards for a whole dialogue at once; add up those of its messages. In free play to a
horizon `gain` adds up to the last grade minus the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

from novicegym.errors import UsageError
from novicegym.grading.verdict import Verdict
from novicegym.rewards.base import RewardSpec, Scored, compose, no_argument
from novicegym.rewards.leak import Said, leak_in_all

DEFAULT_TUTOR_REWARD: Mapping[str, float] = {"gain": 1.0, "solve": 1.0, "leak": 2.0, "cost": 0.1}


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What has to be played once an episode has ended, so that a reward is known."""

    samples: int = 0
    """Programs that the student is asked for after the dialogue."""
    retention: bool = False
    """Whether she is given the next assignment."""

    @property
    def is_empty(self) -> bool:
        """Whether the episode says it all."""
        return not (self.samples or self.retention)


@dataclass(frozen=True, slots=True)
class TutorTransition:
    """One message of a tutor, and what the student did with it."""

    message: str
    """"" where the tutor said nothing."""
    message_tokens: int | None
    """Length of the message in the tutor's tokens; None where there is no tokenizer."""
    code_before: str
    """The submission that the message is about."""
    verdict_before: Verdict
    code_after: str | None
    """The student's next submission; None where the episode ended without one."""
    verdict_after: Verdict | None
    """None also where the student gave up."""
    solutions: tuple[str, ...]
    """Correct programs for the assignment, as many as there are."""
    prompt: str
    """What the student was told besides the feedback: the assignment's text and starter code."""
    step: int
    """Number of the next submission since the start of the episode, from 1."""
    horizon: int
    """The most submissions an episode may have."""
    done: bool
    """Whether the next submission ended the episode."""
    retention_grade: Fraction | None = None
    """Grade of the same student's first submission to the next assignment with a concept of this
    one, without the tutor; None while the episode runs, and where there is no such assignment."""
    post_grades: tuple[Fraction, ...] = ()
    """Grades of K programs that the student was asked for after the dialogue; none before."""


class TutorReward(Scored[TutorTransition], Protocol):
    """A number for a message, always within `range`; `make_tutor_reward(spec)` is it again."""

    @property
    def spec(self) -> RewardSpec: ...


def make_tutor_reward(spec: str | Mapping[str, float] | TutorReward) -> TutorReward:
    """Return the tutor reward a spec names; a reward is returned as it is.

    Raises UsageError for an unknown name, an argument a reward does not take, a weight that
    is not a finite number, or what is no reward at all.
    """
    return compose(spec, TUTOR_REWARDS, "tutor reward", example="gain")


def follow_up(reward: TutorReward) -> FollowUp:
    """Return what has to be played after an episode for this reward.

    Of a reward that `make_tutor_reward` did not make it is nothing.
    """
    spec = getattr(reward, "spec", ())  # a function has none
    names = [spec] if isinstance(spec, str) else list(spec)
    found = FollowUp()
    for name, _, argument in (name.partition(":") for name in names):
        if name == "post_solve":
            samples = PostSolve.from_argument(argument or None).samples
            found = replace(found, samples=max(samples, found.samples))
        elif name == "retention":
            found = replace(found, retention=True)
    return found


@dataclass(frozen=True, slots=True)
class Term:
    """A tutor reward without arguments, whose spec is its name."""

    name: str
    range: tuple[float, float]
    score: Callable[[TutorTransition], float]

    @property
    def spec(self) -> RewardSpec:
        return self.name

    def __call__(self, transition: TutorTransition) -> float:
        return self.score(transition)

    def from_argument(self, argument: str | None) -> Term:
        """Return this reward; UsageError for an argument."""
        no_argument(self.name, argument, "tutor reward")
        return self


def gain(transition: TutorTransition) -> float:
    """Return the grade of the next submission minus that of the one the message is about."""
    after = transition.verdict_after
    return 0.0 if after is None else float(after.grade - transition.verdict_before.grade)


def solve(transition: TutorTransition) -> float:
    """Return 1 when the episode ends with a fully correct submission within the horizon."""
    after = transition.verdict_after
    in_time = transition.step <= transition.horizon
    return float(transition.done and in_time and after is not None and after.correct)


def speed(transition: TutorTransition) -> float:
    """Return 1 when the first submission solves it, falling to 1 / horizon for the last."""
    left = transition.horizon - transition.step + 1
    return left / transition.horizon if solve(transition) else 0.0


def given_away(transition: TutorTransition) -> float:
    """Return minus the share of a correct solution that the message gives away.

    The feedback that the student has read is no leak, so a failed test told again costs nothing,
    whatever is in it.
    """
    share = given_away_in_all([transition], transition.solutions)
    return -share if share else 0.0


def given_away_in_all(transitions: Sequence[TutorTransition], solutions: tuple[str, ...]) -> float:
    """Return the share of a correct solution that the messages of one episode give away.

    transitions: in the episode's order; `solutions` stand for theirs.
    """
    return leak_in_all(
        [
            Said(one.message, one.code_before, f"{one.prompt}\n{_feedback(one.verdict_before)}")
            for one in transitions
        ],
        solutions,
    )


def retention(transition: TutorTransition) -> float:
    """Return `retention_grade`: what the student can do alone on the next assignment."""
    grade = transition.retention_grade
    return 0.0 if grade is None else float(grade)


@dataclass(frozen=True, slots=True)
class PostSolve:
    """The share of `post_grades` that are full; r_sol of Dinucu-Jianu et al. 2025."""

    samples: int = 8
    """How many programs the student is asked for."""

    @classmethod
    def from_argument(cls, argument: str | None) -> PostSolve:
        return cls() if argument is None else cls(_count("post_solve", "programs", argument))

    @property
    def name(self) -> str:
        return "post_solve" if self.samples == PostSolve().samples else f"post_solve:{self.samples}"

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def spec(self) -> RewardSpec:
        return self.name

    def __call__(self, transition: TutorTransition) -> float:
        grades = transition.post_grades[: self.samples]
        return sum(grade == 1 for grade in grades) / len(grades) if grades else 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """-0.5 for a message that says anything, and down to -1 for a long one.

    Length is `message_tokens`, and where that is None the number of words between white space.
    """

    longest: int = 128
    """Tokens of a message that costs -1; a longer one costs no more."""

    @classmethod
    def from_argument(cls, argument: str | None) -> Cost:
        if argument is None:
            return cls()
        return cls(_count("cost", "tokens of a message that costs most", argument))

    @property
    def name(self) -> str:
        return "cost" if self.longest == Cost().longest else f"cost:{self.longest}"

    @property
    def range(self) -> tuple[float, float]:
        return -1.0, 0.0

    @property
    def spec(self) -> RewardSpec:
        return self.name

    def __call__(self, transition: TutorTransition) -> float:
        if not transition.message.strip():
            return 0.0
        tokens = transition.message_tokens
        length = len(transition.message.split()) if tokens is None else tokens
        return -0.5 - 0.5 * min(1.0, length / self.longest)


TERMS = (
    Term("gain", (-1.0, 1.0), gain),
    Term("solve", (0.0, 1.0), solve),
    Term("speed", (0.0, 1.0), speed),
    Term("leak", (-1.0, 0.0), given_away),
    Term("retention", (0.0, 1.0), retention),
)
TUTOR_REWARDS: Mapping[str, Callable[[str | None], TutorReward]] = {
    "cost": Cost.from_argument,
    "post_solve": PostSolve.from_argument,
    **{term.name: term.from_argument for term in TERMS},
}
"""What makes each tutor reward of its argument, by name."""


def _count(name: str, noun: str, argument: str) -> int:
    """Return the number, from 1, that is the argument of a reward; UsageError for another text."""
    if not argument.isascii() or not argument.isdigit() or int(argument[:9]) < 1:
        raise UsageError(
            f"the argument of tutor reward {name!r} is a number of {noun}, at least 1, "
            f"got {argument!r}"
        )
    return int(argument[:9])


def _feedback(verdict: Verdict) -> str:
    """Return all that the fullest feedback may tell of a verdict."""
    texts = [verdict.message]
    # A failed test is what is told again, and of a long text the beginning is read best.
    for case in sorted(verdict.cases, key=lambda case: case.passed):
        texts += (case.call, case.expected, case.actual, case.error)
    return "\n".join(filter(None, texts))
