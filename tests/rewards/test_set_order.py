"""The worked-out order of sets is that of real sets under PYTHONHASHSEED=0."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

from novicegym.rewards.set_order import set_order, string_hash

REAL = """
import json, sys
lists = json.load(sys.stdin)
hashes = [[hash(item) % 2**64 for item in items] for items in lists]
json.dump([[list(set(items)) for items in lists], hashes], sys.stdout)
"""


def test_order_and_hash_are_those_of_a_process_with_seed_0() -> None:
    rng = random.Random(0)
    # Tables of several sizes, repeated members, text of one, two and four bytes a character.
    lists = [
        [
            "".join(rng.choices("abxyz_01é€😀", k=rng.choice([0, 1, 2, 7, 8, 9, 20])))
            for _ in range(rng.choice([0, 1, 2, 3, 4, 5, 6, 12, 40, 300]))
        ]
        for _ in range(500)
    ]
    result = subprocess.run(
        [sys.executable, "-c", REAL],
        input=json.dumps(lists),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    orders, hashes = json.loads(result.stdout)
    assert [set_order(items) for items in lists] == orders
    assert [[string_hash(item) for item in items] for items in lists] == hashes
