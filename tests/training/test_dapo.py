from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from novicegym.courses.model import Course
from novicegym.dialogs.serialize import DialogFormat
from novicegym.envs.episode import EpisodeRules, Start
from novicegym.envs.student import StudentEnv
from novicegym.errors import UsageError
from novicegym.grading.grader import Grader
from novicegym.rewards.base import Reward, Transition, make_reward
from novicegym.rewards.tiered import TieredReward
from novicegym.training.chairs import StudentChair, read_reward
from novicegym.training.logged import LoggedDialog, logged_dialogs
from novicegym.training.prefixes import draw_prefixes
from novicegym.training.recipes import DapoRecipe

torch = pytest.importorskip("torch")

from transformers import TrainerCallback  # noqa: E402

from novicegym.training.dapo import (  # noqa: E402
    PrefixRollouts,
    Rollout,
    make_dapo_trainer,
    overlong_penalty,
    teaches,
)
from novicegym.training.models import load_model  # noqa: E402

# transformers renames a setting that TRL's configurations still set.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`(is_)?gradient_checkpointing(_enable|_disable)?`:FutureWarning"
)
Make = Callable[..., Any]


class Pays:
    """A user's own reward: any function of a transition."""

    name, range = "pays", (-math.inf, math.inf)

    def __init__(self, price: Callable[[Transition], float]) -> None:
        self.price = price
        self.calls = 0

    def __call__(self, transition: Transition) -> float:
        self.calls += 1
        return self.price(transition)


def unlike(to: Callable[[Transition], bool] = lambda _: True) -> Pays:
    """Pays each transition that `to` holds for another amount, and the others nothing."""
    amounts = map(float, itertools.count(1))
    return Pays(lambda transition: next(amounts) if to(transition) else 0.0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than free cores wait for each other: at this size that takes ten times as long.

    And the same sums in the same order make the same pupil.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def logged(small_course: Course, grader: Grader) -> list[LoggedDialog]:
    return logged_dialogs(small_course, grader, DialogFormat())


@pytest.fixture(scope="module")
def starts(small_course: Course, logged: list[LoggedDialog]) -> list[Start]:
    """Ann on add at 1 to 4, ben on add at 1 and 2, ann on double at 1."""
    return draw_prefixes(small_course, logged, positions=9)


@pytest.fixture(scope="module")
def pupil(teach: Callable[..., Path], logged: list[LoggedDialog]) -> Path:
    """A model that says one of Ann's five programs on add; they differ in tokens and in tiers."""
    programs = [turn["content"] for turn in logged[0].dialog if turn["role"] == "assistant"]
    return teach([one.dialog for one in logged], programs)


@pytest.fixture
def make(pupil: Path, starts: list[Start], grader: Grader, tmp_path: Path) -> Make:
    """Make a trainer of the pupil, by default one group a step."""

    def make(
        *,
        reward: Reward | None = None,
        paid: str = "tiered",
        chosen: list[Start] | None = None,
        out: Path = tmp_path,
        **settings: Any,
    ) -> Any:
        recipe = DapoRecipe(
            **{
                "model": str(pupil),
                "adapter": "full",
                "reward": paid,
                "batch_size": 4,
                "completion": 32,
                "context": 1200,
                "weight_decay": 0.0,
                "learning_rate": 1e-3,
                **settings,
            }
        )
        trainer = make_dapo_trainer(
            recipe,
            load_model(str(pupil), device="cpu"),
            chosen or starts,
            out,
            chair=StudentChair(
                reward or read_reward(recipe.reward, recipe.completion),
                EpisodeRules(horizon=recipe.horizon, format=recipe.format),
                grader,
            ),
        )
        trainer.args.logging_steps = 1
        return trainer

    return make


def roll(trainer: Any, numbers: list[int], seed: int = 0) -> list[list[Rollout]]:
    rollouts: PrefixRollouts = trainer.rollout_func
    return rollouts.roll(numbers, trainer.model, np.random.default_rng(seed))


def turns(rollout: Rollout) -> list[list[int]]:
    """The ids of each of the policy's turns."""
    found: list[list[int]] = []
    before = 0
    for token, own in zip(rollout.completion, rollout.own, strict=True):
        if own and not before:
            found.append([])
        if own:
            found[-1].append(token)
        before = own
    return found


class Gradients(TrainerCallback):  # type: ignore[misc]
    """Sums up the gradients' absolute values at each step."""

    def __init__(self) -> None:
        self.sums: list[float] = []

    def on_pre_optimizer_step(self, *_: Any, model: Any, **__: Any) -> None:
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        self.sums.append(sum(float(grad.abs().sum()) for grad in grads))


def trained(trainer: Any, steps: int = 2) -> list[float]:
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.args.max_steps = steps
    trainer.args.save_strategy = "no"
    trainer.train()
    assert len(gradients.sums) == steps
    return gradients.sums


def test_a_group_of_equal_rewards_contributes_no_gradient(make: Make) -> None:
    eight = {"group": 8, "batch_size": 8, "overlong": 0.0}
    # Neither has an exact sum in single precision, and they differ by rounding only.
    equal = itertools.cycle([0.3, 0.1 + 0.2])
    trainer = make(reward=Pays(lambda _: next(equal)), resamples=1, **eight)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert trained(trainer) == [0.0, 0.0]
    assert all(value.equal(before[name]) for name, value in trainer.model.state_dict().items())
    # The same groups move the policy as soon as their rewards differ.
    assert all(moved > 0 for moved in trained(make(reward=unlike(), resamples=0, **eight)))


def test_a_group_of_equal_rewards_is_replaced_by_one_that_teaches(
    make: Make, starts: list[Start]
) -> None:
    assert starts[3].trajectory is not None
    telling = starts[3].trajectory.submissions[4].code
    trainer = make(
        reward=unlike(lambda t: t.target_code == telling),
        overlong=0.0,
        resamples=len(starts),
        chosen=[*starts[:2], starts[3]],
    )
    given = trainer.rollout_func(["0"] * 4, trainer)
    asked = trainer.processing_class.decode(given["prompt_ids"][0])
    assert "print(a + b)" in asked  # ann's fourth submission, the last before the telling one
    assert len({tuple(ids) for ids in given["prompt_ids"]}) == 1
    assert len(set(given["score"])) == 4
    logged = {}
    trainer.rollout_func.earned(score=given["score"], log_metric=logged.__setitem__)
    assert logged["rollout/dull_groups"] == logged["rollout/resampled"] == 1
    assert logged["rollout/reward"] == 0  # of the prefixes that were drawn


def test_a_group_of_equal_rewards_stays_when_the_limit_is_reached(make: Make) -> None:
    for resamples in (0, 3):
        reward = Pays(lambda _: 0.0)
        trainer = make(reward=reward, overlong=0.0, resamples=resamples)
        (group,) = roll(trainer, [2])
        assert group[0].episode.start is trainer.rollout_func.starts[2]
        assert reward.calls == 4 * (1 + resamples)


def test_only_groups_that_teach_nothing_are_replaced(make: Make, starts: list[Start]) -> None:
    trainer = make(reward=unlike(lambda t: "a, b" in str(t.target_code)), overlong=0.0)
    on_add, on_double = roll(trainer, [1, 6])
    assert on_add[0].episode.start is starts[1]
    assert on_double[0].episode.start.assignment.id == "add"


def test_a_rollout_cut_off_teaches_nothing(make: Make) -> None:
    """Its tokens are masked, though its reward counts in the group's mean."""
    trainer = make(reward=unlike(), completion=2, resamples=0)
    (group,) = roll(trainer, [0])
    assert len({rollout.score for rollout in group}) == 4
    assert not any(rollout.finished for rollout in group)
    assert not teaches(group)
    assert trained(trainer) == [0.0, 0.0]


def test_a_group_teaches_by_what_ended_unlike_its_mean() -> None:
    def group(*ends: tuple[float, bool]) -> list[Rollout]:
        episode: Any = None
        return [Rollout(episode, [], reward=paid, finished=ended) for paid, ended in ends]

    assert teaches(group((0, True), (1, False)))
    assert teaches(group((0, True), (1, True)))
    assert not teaches(group((1, True), (1, True)))
    assert not teaches(group((0, False), (1, False)))
    # The two that ended have the group's mean: their advantage is 0.
    assert not teaches(group((0, True), (1, False), (-1, False), (0, True)))


def test_the_published_reward_counts_length_by_the_longest_completion(make: Make) -> None:
    trainer = make(paid="published", completion=48)
    assert trainer.rollout_func.chair.reward.name == "published:48"


@pytest.mark.parametrize("horizon", [1, 3])
def test_rewards_are_those_of_the_environment(
    make: Make, small_course: Course, grader: Grader, horizon: int
) -> None:
    trainer = make(horizon=horizon, resamples=0, group=8, batch_size=8)
    groups = roll(trainer, [*range(7)] * 2)
    env = StudentEnv(small_course, grader=grader, horizon=horizon)
    for rollout in [rollout for group in groups for rollout in group]:
        start = rollout.episode.start
        assert start.trajectory is not None
        env.reset(options={"trajectory": start.trajectory.key, "position": start.position})
        said = [trainer.rollout_func.dialogs.text(turn) for turn in turns(rollout)]
        assert rollout.reward == sum(float(env.step(text)[1]) for text in said)
    assert {-1.0, 0.0, 1.0, 2.0} <= {rollout.reward for group in groups for rollout in group}


def test_the_graders_answers_carry_no_loss(make: Make) -> None:
    trainer = make(horizon=3, resamples=0, group=8, batch_size=8)
    dialogs = trainer.rollout_func.dialogs
    rollouts = [one for group in roll(trainer, [*range(7)]) for one in group]
    assert {rollout.episode.step for rollout in rollouts} == {1, 2, 3}
    as_logged = 0
    for rollout in rollouts:
        episode = rollout.episode
        said = turns(rollout)
        assert len(said) == episode.step
        assert all(turn[-1] == dialogs.end_id for turn in said[:-1])
        assert rollout.own[0] == rollout.own[-1] == 1
        messages = [turn["content"] for turn in episode.dialog() if turn["role"] == "assistant"]
        if said == [dialogs.turn(message) for message in messages[episode.start.position :]]:
            # Said in our tokens: then the rollout is the episode's dialog, up to its last turn.
            as_logged += episode.step > 1
            ids = rollout.prompt + rollout.completion
            assert ids == dialogs.prompt(episode.dialog())[: len(ids)]
    assert as_logged


def test_a_rollout_ends_where_the_context_is_full(make: Make) -> None:
    long = roll(make(horizon=3, resamples=0), [0, 1, 2])
    short = roll(make(horizon=3, resamples=0, context=620), [0, 1, 2])
    most = max(len(one.prompt) + len(one.completion) for group in short for one in group)
    assert most <= 620
    steps = [sum(one.episode.step for group in groups for one in group) for groups in (long, short)]
    assert steps[1] < steps[0]


def test_the_same_seed_and_step_give_the_same_rollouts(make: Make) -> None:
    columns = []
    for seed, step in ((0, 5), (0, 5), (0, 6), (1, 5)):
        trainer = make(seed=seed)
        trainer.state.global_step = step
        torch.manual_seed(step + seed + len(columns))
        columns.append(trainer.rollout_func(["0"] * 4 + ["6"] * 4, trainer)["completion_ids"])
    first, again, later, other = columns
    assert first == again
    assert first != later
    assert first != other


def test_a_resumed_run_ends_like_an_unbroken_one(make: Make, tmp_path: Path) -> None:
    """Into the second epoch: seven prefixes make three steps of two."""

    def run(out: Path, resume: bool | str = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        trainer = make(batch_size=8, epochs=2.0, seed=1, out=out)
        trainer.args.save_steps = 4
        trainer.train(resume_from_checkpoint=resume)
        timed = ("seconds", "time", "runtime", "second", "flos")
        logs = [
            {key: value for key, value in log.items() if not key.endswith(timed)}
            for log in trainer.state.log_history
            if "loss" in log
        ]
        return trainer.model.state_dict(), logs

    weights, logs = run(tmp_path)
    assert [log["step"] for log in logs] == [1, 2, 3, 4, 5, 6]
    resumed, later = run(tmp_path, resume=str(tmp_path / "checkpoints" / "checkpoint-4"))
    assert all(value.equal(resumed[name]) for name, value in weights.items())
    assert later == logs


def test_each_step_logs_what_the_policy_earned_and_what_it_cost(make: Make) -> None:
    trainer = make(horizon=2, batch_size=8)
    trained(trainer, steps=1)
    log = trainer.state.log_history[0]
    tiers = [value for key, value in log.items() if key.startswith("rollout/tier/")]
    assert len(tiers) == 4
    assert sum(tiers) == pytest.approx(1)
    assert 1 <= log["rollout/submissions"] <= 2
    assert log["rollout/generation_seconds"] > 0
    assert log["rollout/grading_seconds"] > 0
    assert {
        "rollout/reward",
        "rollout/group_variance",
        "rollout/dull_groups",
        "rollout/resampled",
        "rollout/overlong_penalty",
        "entropy",
        "completions/mean_length",
    } <= set(log)


def test_the_mean_reward_rises(make: Make, starts: list[Start]) -> None:
    """Where it pays to print, a policy that seldom does learns to."""
    trainer = make(
        reward=Pays(lambda t: float("print" in t.completion)),
        chosen=starts[:6],
        batch_size=16,
        learning_rate=2e-3,
        scheduler="constant",
    )
    trained(trainer, steps=9)
    rewards = [log["rollout/reward"] for log in trainer.state.log_history if "loss" in log]
    assert fmean(rewards[-3:]) > fmean(rewards[:3]) + 0.3


def test_the_ratio_is_clipped_higher_above_than_below(make: Make) -> None:
    trainer = make()
    rollouts = [one for one in roll(trainer, [2])[0] if one.finished][:1]
    trainer.current_gradient_accumulation_steps = 1
    ids = torch.tensor([rollouts[0].prompt + rollouts[0].completion])
    prompt, completion = ids.split([len(rollouts[0].prompt), len(rollouts[0].completion)], 1)
    batch = {
        "prompt_ids": prompt,
        "prompt_mask": torch.ones_like(prompt),
        "completion_ids": completion,
        "completion_mask": torch.ones_like(completion),
        "num_items_in_batch": torch.tensor(completion.shape[1]),
    }
    with torch.no_grad():
        now, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, torch.ones_like(ids), completion.shape[1]
        )

    def moves(ratio: float, advantage: float) -> bool:
        trainer.model.zero_grad()
        old = {"old_per_token_logps": now - math.log(ratio)}
        trainer.compute_loss(
            trainer.model, batch | old | {"advantages": torch.tensor([advantage])}
        ).backward()
        return any(bool(p.grad.any()) for p in trainer.model.parameters() if p.grad is not None)

    assert [moves(ratio, 1.0) for ratio in (1.25, 1.27, 1.29)] == [True, True, False]
    assert [moves(ratio, -1.0) for ratio in (0.85, 0.81, 0.79)] == [True, True, False]


def test_rewards_learn_how_long_completions_were(make: Make) -> None:
    """The published reward has its own length term."""
    length = Pays(lambda transition: float(transition.completion_tokens or 0))
    (group,) = roll(make(reward=length, resamples=0), [0])
    for rollout in group:
        assert rollout.reward == len(rollout.completion)
    # Half a point off above ten tokens of at most twelve, and never below -0.75.
    groups = [
        roll(make(reward=make_reward(f"published:{limit}"), resamples=0), [0])[0]
        for limit in (12, 1000)
    ]
    for short, long in zip(*groups, strict=True):
        off = 0.5 if len(short.completion) > 10 else 0.0
        assert short.reward == max(long.reward - off, -0.75)
    assert any(short.reward < long.reward for short, long in zip(*groups, strict=True))


@pytest.mark.parametrize(
    ("tokens", "penalty"), [(1, 0), (80, 0), (85, -0.25), (90, -0.5), (100, -1), (130, -1)]
)
def test_length_costs_up_to_a_point_at_the_end_of_the_limit(tokens: int, penalty: float) -> None:
    assert overlong_penalty(tokens, limit=100, share=0.2) == pytest.approx(penalty)
    assert overlong_penalty(tokens, limit=100, share=0) == 0


def test_the_penalty_for_length_is_added_to_the_reward(make: Make) -> None:
    (group,) = roll(make(overlong=1.0, resamples=0), [0])
    for rollout in group:
        assert rollout.penalty == pytest.approx(-len(rollout.completion) / 32)
        assert rollout.score == rollout.reward + rollout.penalty


def test_tiers_are_counted_whatever_is_paid(make: Make) -> None:
    shares = []
    for reward in (TieredReward(), unlike()):
        trainer = make(reward=reward, resamples=0, group=8, batch_size=8)
        roll(trainer, [*range(7)] * 2)
        logged: dict[str, float] = {}
        trainer.rollout_func.earned(score=[], log_metric=logged.__setitem__)
        shares.append({key: logged[key] for key in logged if "/tier/" in key})
    assert shares[0] == shares[1]
    assert all(share > 0 for share in shares[0].values())


def test_settings_that_cannot_work_are_named(make: Make) -> None:
    with pytest.raises(UsageError, match="batch_size 6 x accumulation 1 must be whole groups"):
        make(batch_size=6)
    with pytest.raises(UsageError, match="at least 2 completions, got group 1"):
        make(group=1)
    with pytest.raises(UsageError, match="a step takes 8 prefixes and there are 7"):
        make(batch_size=32)
    with pytest.raises(UsageError, match="the prompt of assignment 'add' alone takes"):
        make(context=200)
