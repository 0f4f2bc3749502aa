"""The process model: what a novice submits first, and what after each feedback.

A student (`novice_student.Novice`) has an ability, a skill for each topic, a few
misconceptions (kinds of bugs made far more often), care, persistence, and a hand
(`novice_style`). The first submission is a known correct program in that hand with bugs of
the catalogue planted in it, sometimes unfinished. After a feedback the student

- gives up, with a chance that grows to its full size by the fourth submission and falls with
  persistence;
- repairs: one difference from the nearest known correct program is removed, sometimes more.
  The chance is logistic in the student's skill and in how much the feedback shows (a syntax
  error with its line > a traceback > a failed test > only a grade > nothing); which
  difference it is depends on the line the feedback points at;
- or wanders: tinkers (another bug near the fault or the line pointed at), changes only the
  looks, goes back to an earlier submission, starts over from another solution, or submits
  the same again.

Every edit may bring a slip with it. A tutor's message can change the odds of a repair, what is
repaired first, and where she tinkers; a program in it can be copied (`novice_listening`). What it
adds is drawn from a generator of its own, so that the other choices fall as they would have
fallen without it.

The step is a function of (student, submissions so far, feedback with message, known programs,
generator) and keeps no state, so it serves the simulation of a course and a seat taken in the
middle of somebody's log alike.

Covered: programs of any text. Not covered: time, learning within one assignment; what is learnt
for the next one is in `novice_memory`.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence

import numpy as np

from novicegym.agents.novice_catalogue import BugKind, Category, catalogue
from novicegym.agents.novice_faults import Fault, differences, find_faults, gap, mend, nearest
from novicegym.agents.novice_listening import Heard, listen
from novicegym.agents.novice_source import Edit, Edits, Source, indent_of, splice
from novicegym.agents.novice_student import Novice, Process, Shown
from novicegym.agents.novice_style import comment_for


def first_submission(
    novice: Novice, program: str, rng: np.random.Generator, process: Process
) -> str:
    """Return a correct program as the student writes it at first."""
    code = _unfinished(program, rng) if rng.random() < process.unfinished else program
    size = (code.count("\n") / 15) ** 0.5
    # Some first submissions are nearly right and some are far off: more spread than Poisson's.
    mean = process.first_bugs * size * math.exp(-0.35 * novice.ability) * rng.gamma(1.4, 1 / 1.4)
    count = rng.poisson(mean)
    for _ in range(min(int(count), 12)):
        code = plant(code, novice, ("runtime", "logic"), None, rng, process)
    if rng.random() < process.first_slip * math.exp(-0.4 * novice.care):
        code = plant(code, novice, ("syntax",), None, rng, process)
    return code


def next_submission(
    novice: Novice,
    submitted: Sequence[str],
    shown: Shown,
    programs: Sequence[str],
    rng: np.random.Generator,
    process: Process,
) -> str:
    """Return what the student submits after a feedback; never gives up.

    submitted: all submissions so far, at least one. programs: known correct programs, in the
    student's hand where that is known.
    """
    code = submitted[-1]
    if shown.sight == "correct":
        return code
    shown = at_loop(shown, code)
    target = nearest(code, programs)
    faults = find_faults(code, target) if target is not None else []
    heard = Heard()
    if any(shown.hint):
        # A child generator leaves the parent where it is.
        heard = listen(novice, submitted, shown, target, faults, rng.spawn(1)[0], process)
    if heard.copied is not None:
        return heard.copied
    odds = process.repair[shown.sight] + process.skill_slope * novice.ability + heard.odds
    if target is not None and rng.random() < 1 / (1 + math.exp(-odds)):
        # A known program that is told to be wrong has no faults left to find: take another.
        changed = _repaired(code, faults, shown, heard.fault, rng, process) if faults else target
        if changed == code and len(programs) > 1:
            changed = nearest(code, [p for p in programs if p != target]) or code
    else:
        changed = _wandered(
            novice, submitted, shown.line, heard.line, faults, programs, rng, process
        )
    if changed != code and rng.random() < process.slip * math.exp(-0.5 * novice.care):
        changed = plant(changed, novice, ("syntax",), _changed_line(code, changed), rng, process)
    return changed


def gives_up(
    novice: Novice, submitted: int, shown: Shown, rng: np.random.Generator, process: Process
) -> bool:
    """Whether the student stops trying after `submitted` submissions."""
    if shown.sight == "correct" or submitted < 2:
        return False
    chance = process.give_up * math.exp(-0.7 * novice.persistence) * min(1.0, submitted / 4)
    return bool(rng.random() < chance)


def plant(
    code: str,
    novice: Novice,
    categories: tuple[Category, ...],
    line: int | None,
    rng: np.random.Generator,
    process: Process,
) -> str:
    """Return `code` with one more bug, near `line` if one is given; `code` where none fits."""
    source = Source(code)
    kinds = [kind for kind in catalogue() if kind.category in categories]
    weights = np.array([_weight(kind, novice, process) for kind in kinds])
    order = rng.choice(len(kinds), size=len(kinds), replace=False, p=weights / weights.sum())
    for index in order[:12]:
        kind = kinds[int(index)]
        places = kind.places(source)
        if not places:
            continue
        if line is not None:
            gaps = np.array([abs(source.line_at(edits[0].start) - line) for edits in places])
            near = 1.0 / (1.0 + gaps) ** 3
            if near.max() < 0.03:
                continue
            chosen = int(rng.choice(len(places), p=near / near.sum()))
        else:
            chosen = int(rng.integers(len(places)))
        if _may_hang(source, places[chosen]) and rng.random() < process.seen_hanging:
            continue
        after = splice(code, places[chosen])
        if kind.shows(code, after) or (source.tree is None and after != code):
            # Drawn like any other, so that she makes the same draws as one who is not cured.
            return code if kind.name in novice.cured else after
    return code


def at_loop(shown: Shown, code: str) -> Shown:
    """Return what is shown with the first while loop, where one looks who is told of a limit."""
    if shown.sight != "limit":
        return shown
    lines = enumerate(code.split("\n"), 1)
    first = next((number for number, line in lines if line.lstrip().startswith("while")), None)
    return shown._replace(line=first)


def _may_hang(source: Source, edits: Edits) -> bool:
    """Whether the edits touch what a while loop tests, or how it ends."""
    for loop in source.nodes(ast.While):
        tested = {node.id for node in ast.walk(loop.test) if isinstance(node, ast.Name)}
        first, last = loop.lineno, loop.end_lineno or loop.lineno
        for edit in edits:
            line = source.line_at(edit.start)
            words = set(re.findall(r"\w+", source.lines[line - 1]))
            if first <= line <= last and (line == first or words & (tested | {"break"})):
                return True
    return False


def _weight(kind: BugKind, novice: Novice, process: Process) -> float:
    believed = process.misconception_weight if kind.name in novice.misconceptions else 1.0
    skill = novice.skills[kind.topic] + novice.insight
    common = kind.weight * (process.runtime_weight if kind.category == "runtime" else 1.0)
    return common * believed * math.exp(-0.5 * min(3.0, max(-3.0, skill)))


def _repaired(
    code: str,
    faults: list[Fault],
    shown: Shown,
    pointed_at: Fault | None,
    rng: np.random.Generator,
    process: Process,
) -> str:
    """Return `code` with a fault mended, or several; first the one a tutor has pointed at."""
    left = list(faults)
    mended: list[Fault] = []
    while left and (not mended or rng.random() < process.more_repairs):
        if shown.line is None or mended:
            index = int(rng.integers(len(left)))
        else:
            pull = np.array([_pull(fault, shown.line, shown.name) for fault in left])
            index = int(rng.choice(len(left), p=pull / pull.sum()))
        if pointed_at is not None and not mended:
            index = left.index(pointed_at)
        mended.append(_part(code, left.pop(index), rng))
    return mend(code, mended)


def _pull(fault: Fault, line: int, name: str) -> float:
    """Return how strongly a feedback that points at a line and a name points at a fault."""
    near = 1.0 / (1.0 + gap(fault, line)) ** 3
    named = bool(name) and any(re.search(rf"\b{name}\b", text) for text in fault.lines)
    return near + 0.5 * named


def _part(code: str, fault: Fault, rng: np.random.Generator) -> Fault:
    """Return the part of a fault that a student mends at once."""
    if fault.end == fault.start + 1 and len(fault.lines) == 1:
        line = code.rstrip().split("\n")[fault.start]
        parts = differences(line.rstrip(), fault.lines[0])
        if len(parts) > 1 and rng.random() < 0.3:
            return Fault(fault.start, fault.end, (parts[int(rng.integers(len(parts)))],))
    elif fault.start == fault.end and len(fault.lines) > 2:
        depth = len(indent_of(fault.lines[0]))
        cuts = [
            index
            for index in range(1, len(fault.lines))
            if fault.lines[index].strip() and len(indent_of(fault.lines[index])) <= depth
        ]
        if cuts and rng.random() < 0.6:
            return Fault(fault.start, fault.end, fault.lines[: cuts[int(rng.integers(len(cuts)))]])
    return fault


def _wandered(
    novice: Novice,
    submitted: Sequence[str],
    line: int | None,
    told: int | None,
    faults: Sequence[Fault],
    programs: Sequence[str],
    rng: np.random.Generator,
    process: Process,
) -> str:
    code = submitted[-1]
    moves = sorted(process.moves)
    shares = np.array([process.moves[move] for move in moves])
    move = moves[int(rng.choice(len(moves), p=shares / shares.sum()))]
    if move == "resubmit":
        return code
    if move == "revert" and len(submitted) > 1:
        return submitted[-2 - int(rng.integers(min(3, len(submitted) - 1)))]
    if move == "start_over" and len(programs) > 1:
        other = programs[int(rng.integers(len(programs)))]
        return first_submission(novice, other, rng, process)
    if move == "cosmetic":
        return _cosmetic(code, rng)
    if faults and (line is None or rng.random() < 0.5):
        line = faults[int(rng.integers(len(faults)))].start + 1
    line = line if told is None else told
    broken = Source(code).tree is None
    tinkered = plant(
        code, novice, ("syntax",) if broken else ("runtime", "logic"), line, rng, process
    )
    return tinkered if tinkered != code else _cosmetic(code, rng)


def _cosmetic(code: str, rng: np.random.Generator) -> str:
    """Return `code` with a comment, a blank line or a blank more or less."""
    lines = code.rstrip().split("\n")
    number = int(rng.integers(len(lines)))
    word = re.match(r"\s*(\w+)", lines[number])
    remark = comment_for(word.group(1), rng) if word else None
    blanks = [index for index, line in enumerate(lines) if not line.strip()]
    comments = [index for index, line in enumerate(lines) if line.lstrip().startswith("#")]
    choice = rng.random()
    if choice < 0.3 and remark:
        lines.insert(number, f"{indent_of(lines[number])}# {remark}")
    elif choice < 0.45 and comments:
        del lines[comments[int(rng.integers(len(comments)))]]
    elif choice < 0.6 and blanks:
        del lines[blanks[int(rng.integers(len(blanks)))]]
    elif choice < 0.8 and not re.search("['\"]", lines[number]):
        lines[number] = re.sub(r"(?<=\w)(=|\+|-|<|>)(?=\w)", r" \1 ", lines[number], count=1)
    else:
        lines.insert(number, "")
    return "\n".join(lines) + "\n"


def _unfinished(program: str, rng: np.random.Generator) -> str:
    """Return the program without its last statements; the program where that is not possible."""
    source = Source(program)
    longest = max(
        (block for block in source.blocks if len(block) > 2),
        key=lambda block: (block[-1].end_lineno or 0) - block[0].lineno,
        default=None,
    )
    if longest is None:
        return program
    first = longest[int(rng.integers((len(longest) + 1) // 2, len(longest)))]
    start, end = source.whole_lines(first), source.whole_lines(longest[-1])
    if isinstance(first, ast.FunctionDef) or start is None or end is None:
        return program
    return splice(program, (Edit(start[0], end[1], ""),))


def _changed_line(before: str, after: str) -> int:
    """Return the first line in which two texts differ, counted from 1."""
    pairs = zip(before.split("\n"), after.split("\n"), strict=False)
    return next((number for number, (a, b) in enumerate(pairs, 1) if a != b), 1)
