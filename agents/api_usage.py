"""What a run has asked of an endpoint over all the times it was gone on with: usage.json in its
folder.

Covered: runs that end in any way but a killed process. Not covered: replicas on Ray, each of
which counts by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from novicegym.agents.openai import OpenAIAgent
from novicegym.errors import UsageError
from novicegym.runs import write_atomically


@contextmanager
def usage_kept(agent: OpenAIAgent, path: Path) -> Iterator[None]:
    """Add what the agent asks within to the counts in a JSON file, see `OpenAIAgent.usage`.

    A count that was unknown once, as a cost without prices is, is unknown in the sum.
    Raises UsageError, before anything is asked, for a file that holds something else.
    """
    before = _read(path)
    try:
        yield
    finally:
        used = agent.usage()
        if any(used.values()):  # else there may be no run at all
            for name, earlier in before.items():
                now = used.get(name)
                used[name] = None if earlier is None or now is None else earlier + now
            write_atomically(path, (json.dumps(used, indent=2) + "\n").encode())


def _read(path: Path) -> dict[str, float | None]:
    if not path.exists():
        return {}
    try:
        counts = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}); move it away") from None
    if not isinstance(counts, dict) or not all(
        count is None or isinstance(count, int | float) for count in counts.values()
    ):
        raise UsageError(f"{path} holds no counts of tokens and requests; move it away")
    return counts
