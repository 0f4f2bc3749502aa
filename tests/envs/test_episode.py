from __future__ import annotations

from novicegym.courses.model import Course
from novicegym.envs.episode import EpisodeRules, Start, begin, play
from novicegym.grading.grader import Grader
from novicegym.rewards.tiered import PublishedReward


def test_a_reward_learns_how_long_the_completions_were(
    small_course: Course, grader: Grader
) -> None:
    start = Start.at(small_course, small_course.trajectories[0], 1)
    wrong = "```python\ndef add(a, b):\n    return 7\n```"

    def paid(lengths: list[int] | None) -> list[float]:
        episodes = begin([start, start], EpisodeRules(), grader)
        return play(
            episodes, [wrong, wrong], grader, PublishedReward(1024), completion_tokens=lengths
        )

    assert paid(None) == [0, 0]
    assert paid([20, 1024]) == [0, -0.5]
