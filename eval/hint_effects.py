"""What follows help: after states in which a student was helped, beside states like them.

The same function of `HintState`s for logs, where help is a request, and for simulated episodes,
where it is a tutor's message (`novicegym.eval.hint_states`), so that the two can be compared row
by row. Each helped state is compared with the states without help of the same cell:

- near: assignment, outcome, grade (0; up to a half; above), number of submissions so far (1; 2; 3
  and 4; 5 to 8; 9 and more)
- exact: assignment, outcome, exact grade and exact number

A helped state in a cell without others is left out of the comparison; how many are compared is
said for each measure. The comparison weighs cells by their helped states (what the helped would
have done), and intervals draw whole students anew.

Two rows look backward, at what was so before the help could do anything. Where they differ, the
matched states are not alike, and the rows below them carry that difference.

Covered: matching, measures, intervals by student. Not covered: why a student was helped. Matched
on a few numbers is not randomised: in logs, who asks is stuck in ways that these do not see; for
the effect of a simulated tutor, compare arms of a trial, not states within one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from novicegym.errors import unknown_name
from novicegym.eval.bootstrap import FloatArray, Interval, intervals, of_sums, ratio
from novicegym.eval.hint_states import Graded, HintState
from novicegym.eval.style import normalized
from novicegym.eval.transitions import levenshtein

Measure: TypeAlias = Callable[[HintState], float | None]
"""None where a state does not say."""

WITHIN = (1, 2, 3, 5)
"""Submissions within which a state may be solved; of states that so many could follow."""

_BEFORE = ("compile", "logical", "runtime")
_AFTER = ("compile", "logical", "runtime", "correct")
_NUMBERS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Effect:
    """One measure after help and without. Values None where no state says."""

    helped: Interval | None
    """Mean over all helped states that say."""
    others: Interval | None
    """Mean over all other states that say, whatever they are like."""
    matched: Interval | None
    """Mean over the helped states that have others in their cell."""
    without: Interval | None
    """Mean over those others, each cell by its helped states."""
    difference: Interval | None
    """`matched` less `without`."""
    helped_states: int
    matched_states: int
    matched_students: int
    others_compared: int
    """Other states in cells with a helped one."""


@dataclass(frozen=True, slots=True)
class HintEffects:
    """What follows help, by measure."""

    match: str
    states: int
    students: int
    helped: int
    helped_students: int
    matched: int
    """Helped states in whose cell is another state, whatever it says."""
    effects: Mapping[str, Effect]


def hint_effects(
    states: Sequence[HintState],
    *,
    match: str = "near",
    first_only: bool = False,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> HintEffects:
    """Return what follows help beside matched states without it.

    match: "near" or "exact", see the module. first_only: leave out states that come after help in
    the same trajectory, on both sides. Raises UsageError for another `match` and where rapidfuzz
    is not installed, and TooFewError for fewer than two students.
    """
    if match not in MATCHES:
        raise unknown_name("way to match states", match, MATCHES)
    cell_of = MATCHES[match]
    used = [state for state in states if not (first_only and state.helped_before)]
    place = {name: i for i, name in enumerate(sorted({state.student_id for state in used}))}
    cells = [cell_of(state) for state in used]
    free = {cell for cell, state in zip(cells, used, strict=True) if not state.helped}
    effects = {}
    for name, measure in MEASURES.items():
        says = [
            (state, cell, value)
            for state, cell in zip(used, cells, strict=True)
            if (value := measure(state)) is not None
        ]
        effects[name] = _effect(says, place, samples, level, seed)
    return HintEffects(
        match=match,
        states=len(used),
        students=len(place),
        helped=sum(state.helped for state in used),
        helped_students=len({state.student_id for state in used if state.helped}),
        matched=sum(state.helped and cell in free for state, cell in zip(used, cells, strict=True)),
        effects=effects,
    )


def _effect(
    says: Sequence[tuple[HintState, Hashable, float]],
    place: Mapping[str, int],
    samples: int,
    level: float,
    seed: int,
) -> Effect:
    sides: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for state, cell, _ in says:
        sides[cell][state.helped] += 1
    # In the order they come: sums of floats depend on it.
    column = {cell: i for i, cell in enumerate(c for c, (no, yes) in sides.items() if no and yes)}
    # For each student and cell (number, sum) of others and helped; the last cell is everything.
    sums = np.zeros((len(place), len(column) + 1, 2, 2))
    for state, cell, value in says:
        for at in (column.get(cell), len(column)):
            if at is not None:
                sums[place[state.student_id], at, int(state.helped)] += (1, value)
    helped, others, mine, without, difference = intervals(
        of_sums(sums, _values), len(place), samples=samples, level=level, seed=seed
    )
    matched = [state for state, cell, _ in says if state.helped and cell in column]
    return Effect(
        helped=helped,
        others=others,
        matched=mine,
        without=without,
        difference=difference,
        helped_states=sum(state.helped for state, _, _ in says),
        matched_states=len(matched),
        matched_students=len({state.student_id for state in matched}),
        others_compared=sum(cell in column and not state.helped for state, cell, _ in says),
    )


def _values(drawn: FloatArray) -> FloatArray:
    """Return helped, others, matched, without, difference of (draws, cells, side, number, sum)."""
    everything = ratio(drawn[:, -1, :, 1], drawn[:, -1, :, 0])
    numbers, totals = drawn[:, :-1, :, 0], drawn[:, :-1, :, 1]
    both = (numbers[..., 0] > 0) & (numbers[..., 1] > 0)
    weights = np.where(both, numbers[..., 1], 0.0)
    means = np.where(both[..., None], ratio(totals, numbers), 0.0)
    compared = ratio((weights[..., None] * means).sum(axis=1), weights.sum(axis=1)[:, None])
    without, matched = compared[:, 0], compared[:, 1]
    return np.stack(
        [everything[:, 1], everything[:, 0], matched, without, matched - without], axis=-1
    )


def _exact(state: HintState) -> Hashable:
    return state.assignment_id, state.now.outcome, state.now.grade, state.number


def _near(state: HintState) -> Hashable:
    grade = 0 if state.now.grade == 0 else 1 if state.now.grade <= 0.5 else 2
    number = int(np.searchsorted(_NUMBERS, state.number))
    return state.assignment_id, state.now.outcome, grade, number


MATCHES: Mapping[str, Callable[[HintState], Hashable]] = MappingProxyType(
    {"near": _near, "exact": _exact}
)


def _change_before(state: HintState) -> float | None:
    return float(state.now.grade - state.past[-2].grade) if len(state.past) > 1 else None


def _edit_before(state: HintState) -> float | None:
    return _edit(state.past[-2], state.now) if len(state.past) > 1 else None


def _goes_on(state: HintState) -> float | None:
    if state.following:
        return 1.0
    return 0.0 if state.ended else None


def _change(state: HintState) -> float | None:
    return float(state.following[0].grade - state.now.grade) if state.following else None


def _rises(state: HintState) -> float | None:
    return float(state.following[0].grade > state.now.grade) if state.following else None


def _falls(state: HintState) -> float | None:
    return float(state.following[0].grade < state.now.grade) if state.following else None


def _edit_after(state: HintState) -> float | None:
    return _edit(state.now, state.following[0]) if state.following else None


def _unchanged(state: HintState) -> float | None:
    edited = _edit_after(state)
    return None if edited is None else float(edited == 0)


def _solved_within(most: int) -> Measure:
    def solved(state: HintState) -> float | None:
        # Not even if she solved it: who did not is not seen to fail in so few, either.
        if state.could_follow is not None and state.could_follow < most:
            return None
        if any(one.grade == 1 for one in state.following[:most]):
            return 1.0
        return 0.0 if state.ended or len(state.following) >= most else None

    return solved


def _goes_to(before: str, after: str) -> Measure:
    def goes(state: HintState) -> float | None:
        if state.now.outcome != before or not state.following:
            return None
        return float(state.following[0].outcome == after)

    return goes


def _edit(before: Graded, after: Graded) -> float:
    return _edit_of(before.code, after.code)


@lru_cache(maxsize=1 << 14)
def _edit_of(before: str, after: str) -> float:
    return levenshtein()(normalized(before), normalized(after))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "grade change before": _change_before,
        "edit size before": _edit_before,
        "submits again": _goes_on,
        "grade change": _change,
        "grade rises": _rises,
        "grade falls": _falls,
        "edit size": _edit_after,
        "code unchanged": _unchanged,
        **{f"solved within {most}": _solved_within(most) for most in WITHIN},
        **{
            f"{before} -> {after}": _goes_to(before, after)
            for before in _BEFORE
            for after in _AFTER
        },
    }
)
"""What is measured of a state. Grades are in [0, 1], edits shares of the longer program's
characters (`novicegym.eval.transitions`); all from the next submission on are of states that have
one, but for `submits again` and `solved within`, where who stops does not solve."""
