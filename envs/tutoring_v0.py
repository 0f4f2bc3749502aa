"""PettingZoo's front of `envs/tutoring.py`: `student_0` and `tutor_0` take turns.

    from novicegym.envs import tutoring_v0

    env = tutoring_v0.env()
    env.reset(seed=0)
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, info = env.last()
        env.step(None if terminated or truncated else say[agent](observation["dialog"]))

Needs the extra: pip install 'novicegym[tutor]'. Arguments are those of `TutoringEnv`.

Covered: the AEC environment, bare and with PettingZoo's check of the order of calls; the
parallel form of a game of turns. Not covered: chairs that act at the same time. The tutor must
see the submission it speaks about and the student the message, so `aec_to_parallel`, which
steps both at once, is refused (`is_parallelizable` is False).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pettingzoo import AECEnv, ParallelEnv

    from novicegym.envs.tutoring import Observation, TutoringEnv

__all__ = ["env", "parallel_env", "raw_env"]


def env(**kwargs: Any) -> AECEnv[str, Observation, str]:
    """Return the environment as most users want it: calls out of order are errors."""
    # Here and not above: `import novicegym` and what it loads need no PettingZoo.
    raw = raw_env(**kwargs)
    from pettingzoo.utils.wrappers import OrderEnforcingWrapper

    return OrderEnforcingWrapper(raw)


def raw_env(**kwargs: Any) -> TutoringEnv:
    """Return the environment without wrappers; UsageError where PettingZoo is missing."""
    from novicegym.envs.tutoring import TutoringEnv

    return TutoringEnv(**kwargs)


def parallel_env(**kwargs: Any) -> ParallelEnv[str, Observation, str | None]:
    """Return the environment for libraries that know only the Parallel API.

    It is PettingZoo's form of a game of turns: a step takes an action of each agent and uses
    that of the one whose turn it is, which `infos[agent]["active_agent"]` names after a step.
    """
    raw = raw_env(**kwargs)
    from pettingzoo.utils.conversions import turn_based_aec_to_parallel

    return turn_based_aec_to_parallel(raw)
