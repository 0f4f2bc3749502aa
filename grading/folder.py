"""Emptying the working folder that one submission leaves to the next.

Runs in the zygote and in its children.
"""

from __future__ import annotations

import os


def empty_folder(path: str) -> bool:
    """Remove what can be removed in a folder, and say whether it is empty now.

    Links are removed, never followed.
    """
    try:
        names = os.listdir(path)
    except OSError:
        if not _open_up(path):
            return False
        names = os.listdir(path)
    if not names:
        return True
    _open_up(path)
    for name in names:
        inner = f"{path}/{name}"
        try:
            os.unlink(inner)
            continue
        except OSError:
            pass
        try:
            empty_folder(inner)
            os.rmdir(inner)
        except (OSError, RecursionError):  # a path too long, folders too deep: it stays
            pass
    return not os.listdir(path)


def _open_up(path: str) -> bool:
    """Let the owner list and change a folder; a filter on system calls may forbid it."""
    try:
        os.chmod(path, 0o700)
    except OSError:
        return False
    return True
