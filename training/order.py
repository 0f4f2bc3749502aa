"""The order in which a trainer reads its rows: of the seed and the epoch alone.

transformers draws its order by length from the random state at hand, and a run that is resumed has
another one than the run that was broken off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

_BATCHES_SORTED = 50
"""How many batches of rows drawn at random are sorted by length, at most."""


class OrderByLength:
    """Rows of like length share a batch, for on CPU padding is computed like text.

    Batches come in random order, but for the one with the longest row: it is the first, so that
    what does not fit the memory shows at once.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        self._lengths = np.array(lengths)
        self._batch_size, self._seed, self._epoch = batch_size, seed, epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, *b"rows", self._epoch()])
        rows, size = rng.permutation(len(self)), self._batch_size
        # Of a small set not all at once, or each epoch would have the same batches.
        sorted_at_once = size * min(_BATCHES_SORTED, max(1, len(rows) // (4 * size)))
        for first in range(0, len(rows), sorted_at_once):
            part = rows[first : first + sorted_at_once]
            part[:] = part[np.argsort(-self._lengths[part], kind="stable")]
        whole = len(rows) // size
        batches = rows[: whole * size].reshape(whole, size)[rng.permutation(whole)]
        if whole:
            longest = self._lengths[batches].max(axis=1).argmax()
            batches[[0, longest]] = batches[[longest, 0]]
        return iter([*batches.ravel().tolist(), *rows[whole * size :].tolist()])
