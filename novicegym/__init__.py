"""Artificial programming students: student logs as a Gymnasium environment suite.

>>> import gymnasium as gym, novicegym
>>> env = gym.make("FalconCodeStudent-v0")
>>> dialog, info = env.reset(seed=0)
>>> [message["role"] for message in dialog][:3]
['system', 'user', 'assistant']
"""

from gymnasium.envs.registration import register

__version__ = "0.1.0"

register(
    id="FalconCodeStudent-v0",
    entry_point="novicegym.envs.student:StudentEnv",
    vector_entry_point="novicegym.envs.vector:StudentVectorEnv",
)
register(
    id="FalconCodeTutor-v0",
    entry_point="novicegym.envs.tutor:TutorEnv",
)
