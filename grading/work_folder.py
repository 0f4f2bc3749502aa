"""The temporary folder that programs work in where they have no file tree of their own."""

from __future__ import annotations

import contextlib
import os
import secrets

WORK_PREFIX = "novicegym-"
"""Of its name."""
_DEEPEST = 100_000


def remove_folder(folder: str) -> None:
    """Remove a folder, however deep: the folders of its folders are moved up before.

    Links are removed, never followed; the folder may be one, by a program that no layer stopped.
    """
    if os.path.islink(folder):
        os.unlink(folder)
        return
    for _ in range(_DEEPEST):
        names = os.listdir(folder)
        if not names:
            break
        for name in names:
            inner = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                os.unlink(inner)
                continue
            os.chmod(inner, 0o700)
            for deeper in os.scandir(inner):
                if deeper.is_dir(follow_symlinks=False):
                    os.chmod(deeper.path, 0o700)
                    os.rename(deeper.path, os.path.join(folder, secrets.token_hex(8)))
                else:
                    os.unlink(deeper.path)
            os.rmdir(inner)
    os.rmdir(folder)
