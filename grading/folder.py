"""Emptying the working folder that one submission leaves to the next.

Runs in the zygote and in its children.
"""

from __future__ import annotations

import os


def empty_folder(path: str) -> None:
    """Remove what can be removed in a folder; links are removed, never followed."""
    for name in os.listdir(path):
        inner = f"{path}/{name}"
        try:
            os.unlink(inner)
            continue
        except OSError:
            pass
        try:
            os.chmod(inner, 0o700)
            empty_folder(inner)
            os.rmdir(inner)
        except (OSError, RecursionError):  # a path too long, folders too deep: it stays
            pass
