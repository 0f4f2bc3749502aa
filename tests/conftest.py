"""Fixtures shared by all rooms' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real logs and golden values beside the checkout; never part of it."""
    if not SHARED.is_dir():
        pytest.skip(f"real logs and golden values are not at {SHARED}")
    return SHARED
