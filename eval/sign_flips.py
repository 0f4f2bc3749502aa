"""p values of paired differences: what chance alone would make of the same students.

Null hypothesis: a student's difference is as likely to be so much below 0 as above it. Two tutors
with common random numbers are so where it makes no difference to a student, but for chance, which
of them she has; one that does nothing leaves no difference at all. Then all ways to give the
students' differences a sign are equally likely, and p is the share of those whose sum is at least
as far from 0 as the one found. That is exact however few students there are: R. A. Fisher, The
Design of Experiments, 1935, section 21; M. D. Ernst, Permutation Methods: A Basis for Exact
Inference, Statistical Science 19(4), 2004. With two students p is never below 0.5, with six never
below 0.031.

Where there are more ways than draws, signs are drawn, and the way found counts as one of them, so
that p is not too small either: B. Phipson and G. K. Smyth, Permutation P-values Should Never Be
Zero, Statistical Applications in Genetics and Molecular Biology 9(1), article 39, 2010.

Covered: two-sided p of sums over students, and so of any mean whose divisor the signs do not
change. Not covered: quotients of sums, as coverage is; a mean of 0 with a lopsided spread, which is
another hypothesis and is held to with many students only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from novicegym.errors import UsageError
from novicegym.eval.bootstrap import FloatArray

_FLIPS = 8  # stream of the seed
_CELLS = 1 << 22  # of a matrix of signs: they come in chunks, so that memory stays small
_EQUAL = 1e-9
"""Sums are equal within this share of all that they add up, in whatever order they were added."""


def sign_flip_p(sums: FloatArray, *, draws: int, seed: int = 0) -> FloatArray:
    """Return the two-sided p value of each column of sums (students, columns) of differences.

    draws: most ways to give signs that are looked at; where there are no more, p is exact. Never
    below 1 / (1 + draws). Raises UsageError for no student and for no draws.
    """
    students = len(sums)
    if students < 1 or draws < 1:
        raise UsageError(f"signs need students and draws, got {students} and {draws}")
    # Half of all ways: the other half has the same sums with the other sign.
    is_exact = students <= draws.bit_length()
    ways = 1 << (students - 1) if is_exact else draws
    signs = _all_signs(students, ways) if is_exact else _drawn_signs(students, ways, seed)
    furthest = np.abs(sums.sum(axis=0)) - _EQUAL * np.abs(sums).sum(axis=0)
    hits = sum((np.abs(one @ sums) >= furthest).sum(axis=0) for one in signs)
    p: FloatArray = hits / ways if is_exact else (1 + hits) / (1 + ways)
    return p


def _all_signs(students: int, ways: int) -> Iterator[FloatArray]:
    """Yield arrays (ways, students) of signs, the last student's always 1."""
    most = max(1, _CELLS // students)
    for first in range(0, ways, most):
        numbers = np.arange(first, min(first + most, ways))
        bits = numbers[:, None] >> np.arange(students) & 1
        yield 1.0 - 2.0 * bits.astype(np.float64)


def _drawn_signs(students: int, draws: int, seed: int) -> Iterator[FloatArray]:
    rng = np.random.default_rng([_FLIPS, seed])
    most = max(1, _CELLS // students)
    for first in range(0, draws, most):
        shape = (min(most, draws - first), students)
        yield 1.0 - 2.0 * rng.integers(2, size=shape, dtype=np.int8).astype(np.float64)
