"""Training a tutor: what its messages earn, that it learns, and that it does not give away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import pytest

from novicegym.agents.language_model import LanguageModelAgent
from novicegym.agents.novice import NoviceAgent
from novicegym.agents.persistence import PersistenceAgent
from novicegym.agents.tutors.bug_hint import BugHintTutor
from novicegym.agents.tutors.silent import SilentTutor
from novicegym.courses.model import Course, Submission, Trajectory
from novicegym.dialogs.serialize import Dialog, DialogFormat
from novicegym.dialogs.tutoring import tutor_dialog, without_oldest
from novicegym.envs.episode import EpisodeRules, Start, begin
from novicegym.envs.tutor import TutorEnv
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.rewards.tutoring import DEFAULT_TUTOR_REWARD, make_tutor_reward
from novicegym.training.chairs import TutorChair, read_tutor_reward, tutor_rules
from novicegym.training.logged import logged_dialogs
from novicegym.training.prefixes import draw_prefixes
from novicegym.training.recipes import TutorDapoRecipe
from novicegym.training.tutored import tutored_dialogs

torch = pytest.importorskip("torch")

from novicegym.training.dapo import make_dapo_trainer, with_room  # noqa: E402
from novicegym.training.models import load_model  # noqa: E402

# transformers renames a setting that TRL's configurations still set.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`(is_)?gradient_checkpointing(_enable|_disable)?`:FutureWarning"
)
Make = Callable[..., Any]
RIGHT = "print(2 * int(input()))\n"
SOLUTION = f"```python\n{RIGHT}```"
MESSAGES = ("", "Look at line 1.", "Look at line 2.", SOLUTION)


class Told:
    """A simulated beginner, one and the same in every batch, who notes what she is told."""

    name = "told"

    def __init__(self, course: Course) -> None:
        self.novice = NoviceAgent(course, seed=3)

    def act(self, dialogs: Sequence[Dialog], infos: Sequence[Mapping[str, Any]]) -> list[str]:
        return self.novice.act(dialogs, infos)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads that wait for each other are slower, and their sums are not the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def class_of_three(small_course: Course) -> Course:
    """Nobody's input becomes a number, in line 1, until the end."""
    given = small_course.assignments["double"]
    double = replace(given, solutions=(*given.solutions, RIGHT))
    wrong = ("n = input()\nprint(2 * n)\n", "n = input()\nprint(n * 2)\n")
    programs = tuple(Submission(code) for code in (*wrong, *given.solutions))
    return Course(
        "doubles",
        {double.id: double},
        tuple(Trajectory(name, double.id, None, programs) for name in ("ann", "ben", "cem")),
    )


@pytest.fixture(scope="module")
def starts(class_of_three: Course, grader: Grader) -> list[Start]:
    """Each of the three at 1 and at 2."""
    logged = logged_dialogs(class_of_three, grader, DialogFormat())
    return draw_prefixes(class_of_three, logged)


@pytest.fixture(scope="module")
def pupil(teach: Callable[..., Path], starts: list[Start], grader: Grader) -> Path:
    """A tutor that says one of `MESSAGES`, whatever it is shown."""
    # One reading of the assignment teaches eight messages.
    turns = begin(starts[1:2], EpisodeRules(), grader)[0].turns * 4
    said = ["?"] * len(turns)
    return teach([tutor_dialog(starts[0].assignment, turns, said, DialogFormat(), 1)], MESSAGES)


@pytest.fixture
def make(
    pupil: Path, starts: list[Start], class_of_three: Course, grader: Grader, tmp_path: Path
) -> Make:
    """Make a trainer of the pupil, by default four groups a step."""

    def make(*, reward: Any = DEFAULT_TUTOR_REWARD, student: Any = None, **settings: Any) -> Any:
        recipe = TutorDapoRecipe(
            **{
                "model": str(pupil),
                "adapter": "full",
                "batch_size": 16,
                "completion": 48,
                "context": 1200,
                "weight_decay": 0.0,
                "overlong": 0.0,
                "learning_rate": 2e-3,
                "scheduler": "constant",
                **settings,
            }
        )
        chair = TutorChair(
            student or NoviceAgent(class_of_three),
            make_tutor_reward(reward),
            tutor_rules(recipe.horizon, recipe.format),
            grader,
            class_of_three,
        )
        loaded = load_model(str(pupil), device="cpu")
        trainer = make_dapo_trainer(recipe, loaded, starts, tmp_path, chair=chair)
        trainer.args.logging_steps = 1
        trainer.args.save_strategy = "no"
        return trainer

    return make


def roll(trainer: Any, numbers: list[int], seed: int = 0) -> list[Any]:
    groups = trainer.rollout_func.roll(numbers, trainer.model, np.random.default_rng(seed))
    return [one for group in groups for one in group]


class Means(NamedTuple):
    """Of the tutor's messages to the same students on the same prefixes."""

    reward: float
    leak: float
    leaking: float
    at_line_1: float


def means(trainer: Any) -> Means:
    seen: list[tuple[float, float, float]] = []
    said: list[str] = []
    for seed in range(4):
        rollouts = roll(trainer, [*range(6)], seed)
        logged = trainer.rollout_func._metrics
        seen.append(tuple(logged[name] for name in ("reward", "leak", "leaking")))
        said += [one.episode.messages[-2] for one in rollouts]
    return Means(
        *(fmean(values) for values in zip(*seen, strict=True)),
        at_line_1=said.count("Look at line 1.") / len(said),
    )


def test_the_reward_rises_and_the_leak_falls(make: Make) -> None:
    """A tutor that often gives the solution away learns to point at the line that is wrong."""
    trainer = make(reward={"gain": 1.0, "solve": 1.0, "leak": 2.0})
    before = means(trainer)
    trainer.args.max_steps = 10
    trainer.train()
    after = means(trainer)
    assert before.leak > 0.1
    assert after.leak < before.leak / 2
    assert after.leaking < before.leaking / 2
    assert after.reward > before.reward + 0.2
    assert after.at_line_1 > before.at_line_1 + 0.2


def test_what_keeps_the_leak_down_is_its_penalty(make: Make) -> None:
    """A student copies what she is given: nothing else in the reward is against it."""
    trainer = make(reward={"gain": 1.0, "solve": 1.0})
    before = means(trainer)
    trainer.args.max_steps = 10
    trainer.train()
    after = means(trainer)
    assert after.leak > before.leak + 0.2
    assert after.reward > before.reward + 0.2


def test_each_step_logs_what_the_tutor_said_and_what_came_of_it(make: Make) -> None:
    trainer = make(resamples=0)
    rollouts = roll(trainer, [0, 1, 2, 3])
    logged: dict[str, float] = {}
    trainer.rollout_func.earned(score=[], log_metric=logged.__setitem__)
    said = [one.episode.messages[-2] for one in rollouts]
    assert {"", SOLUTION} < set(said)
    assert logged["rollout/silent"] == said.count("") / 16
    assert logged["rollout/leaking"] == said.count(SOLUTION) / 16
    assert logged["rollout/leak"] == pytest.approx(logged["rollout/leaking"])
    turns = [one.episode.turns[-2:] for one in rollouts]
    grades = [[verdict.grade for _, verdict in pair] for pair in turns]
    assert logged["rollout/gain"] == pytest.approx(fmean(float(b - a) for a, b in grades))
    assert logged["rollout/solved"] == fmean(after == 1 for _, after in grades)
    assert logged["rollout/reward"] == fmean(one.reward for one in rollouts)


def test_a_group_differs_by_its_messages_alone(make: Make) -> None:
    """She draws the same numbers in all of a group, and others in another batch."""
    trainer = make(group=16, resamples=0)
    after: dict[tuple[int, str], set[str]] = {}
    for seed in range(8):
        for one in roll(trainer, [1], seed):
            after.setdefault((seed, one.episode.messages[-2]), set()).add(one.episode.turns[-1][0])
    assert all(len(codes) == 1 for codes in after.values())
    by_message = {
        message: {code for (_, said), codes in after.items() if said == message for code in codes}
        for message in MESSAGES
    }
    assert len(by_message[""]) > 1
    assert RIGHT in by_message[SOLUTION]


def test_a_student_who_is_a_language_model_samples_alike_in_a_group(
    make: Make, tiny_model_dir: Path
) -> None:
    student = LanguageModelAgent.load(
        str(tiny_model_dir), device="cpu", context=1200, completion=12, temperature=1.0
    )
    trainer = make(student=student, group=8, resamples=0)
    after = [
        {(one.episode.messages[-2], one.episode.turns[-1][0]) for one in roll(trainer, [1], seed)}
        for seed in range(2)
    ]
    for said in after:
        assert len({message for message, _ in said}) == len(said) > 1
    first, second = (dict(said) for said in after)
    assert all(first[message] != second[message] for message in first.keys() & second.keys())
    assert first.keys() & second.keys()


def test_states_whose_last_submission_does_not_fit_are_left_out(
    make: Make, starts: list[Start]
) -> None:
    rollouts = make().rollout_func
    asked = [rollouts.chair.dialog(one) for one in rollouts.chair.begin(starts)]
    alone = [
        rollouts.dialogs.measure(without_oldest(one) or one, generation_prompt=True)
        for one in asked
    ]

    def kept(room: int) -> list[Start]:
        recipe = replace(rollouts.recipe, context=room + rollouts.reserve)
        return with_room(starts, recipe, rollouts.dialogs, rollouts.chair)

    assert kept(max(alone)) == starts
    some = kept(max(alone) - 1)
    assert some == [one for one, size in zip(starts, alone, strict=True) if size < max(alone)]
    assert 0 < len(some) < len(starts)
    with pytest.raises(UsageError, match=f"none of the {len(starts)} states fits a context"):
        kept(min(alone) - 1)


@pytest.mark.parametrize("horizon", [1, 3])
def test_rewards_are_those_of_the_environment(
    make: Make, class_of_three: Course, grader: Grader, horizon: int
) -> None:
    reward = {"gain": 1.0, "solve": 1.0, "leak": 2.0}
    # Sixteen completions of a prefix: that one gives the solution away does not hang on a seed.
    trainer = make(
        reward=reward, student=Told(class_of_three), horizon=horizon, group=16, resamples=0
    )
    env = TutorEnv(
        class_of_three,
        student=Told(class_of_three),
        grader=grader,
        horizon=horizon,
        reward=reward,
        past_log=True,
    )
    rollouts = roll(trainer, [0, 1, 4, 5])
    giving = 0
    for one in rollouts:
        start = one.episode.start
        env.reset(options={"trajectory": start.trajectory.key, "position": start.position})
        said = one.episode.messages[start.position - 1 : -1]
        assert one.reward == pytest.approx(sum(float(env.step(message)[1]) for message in said))
        assert env.episode.turns == one.episode.turns
        if SOLUTION in said:
            giving += 1
            (_, first), (_, last) = (one.episode.turns[place] for place in (start.position - 1, -1))
            assert one.reward <= float(last.grade - first.grade) + last.correct - 2
    assert {one.episode.step for one in rollouts} == set(range(1, horizon + 1))
    assert giving


def test_a_dialog_ends_with_what_the_tutor_says_of_the_last_submission(
    class_of_three: Course, starts: list[Start], grader: Grader
) -> None:
    tutor = BugHintTutor(class_of_three, grader=grader)
    first, second = tutored_dialogs(starts[:2], tutor, grader, DialogFormat())
    for one, shown in ((first, 1), (second, 2)):
        assert [turn["role"] for turn in one.dialog] == ["system", "user", "assistant"]
        assert one.dialog[1]["content"].count("Submission ") == len(one.codes) == shown
        assert "line 1" in one.dialog[2]["content"]
    silent = tutored_dialogs(starts, SilentTutor(), grader, DialogFormat(), silence="(nothing)")
    assert {one.dialog[-1]["content"] for one in silent} == {"(nothing)"}


def test_students_and_rewards_that_teach_nothing_are_refused(
    small_course: Course, grader: Grader
) -> None:
    reward = read_tutor_reward('{"gain": 1.0, "leak": 2.0}')
    assert reward.spec == {"gain": 1.0, "leak": 2.0}
    with pytest.raises(UsageError, match=r"persistence.*does not listen"):
        TutorChair(
            PersistenceAgent(small_course),
            reward,
            tutor_rules(1, DialogFormat()),
            grader,
            small_course,
        )
    with pytest.raises(UsageError, match="no JSON"):
        read_tutor_reward("{gain: 1}")
    with pytest.raises(UsageError, match="tutor reward"):
        read_tutor_reward("gian")
