"""Several processes of one run, as `accelerate launch` and `torchrun` start them.

They share the run's folder and the course: what one of them must do alone, the first does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

_PATIENCE = timedelta(hours=12)
"""How long the others wait: the first may have a large course to grade."""


def is_first_process() -> bool:
    """Return whether this process speaks and writes for all; True if there is but one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process through the block before the others enter it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
    with state.main_process_first():
        yield
