"""Assignments with their tests from a JSON file, for logs that bring none.

Two forms are read. A `.jsonl` file is the `assignments.jsonl` of a course directory. A `.json`
file is a list of objects:

    assignment_id, title, prompt   text; the title may be left out
    entry_point                    name of the function asked for
    cases                          objects {args, expected}, {expr, expected} or {stdin, stdout};
                                   `args` are called with the entry point, `expr` is any expression
    tolerance                      for all cases (see CallCase); a case may have its own
    strict_number_type             true: 3 and 3.0 differ; python_equality: true: True equals 1
    prelude, forbidden_methods     code run before the student's; method names it must not call
    reference                      a correct program
    lesson, concepts, starter      as in Assignment
    kind                           skill, lab, project, or any other word of yours; "function" and
                                   "program" only say that there is an entry point or none, so
                                   these assignments get the kind an untold one has

Values are JSON, with {"tuple": [...]} and the other forms of `novicegym.courses.values`.
`edge_cases` are ignored: they hold calls whose answer the prompt leaves open, and grading by
them would judge what no student was asked. Any other key is ignored, too, but one that looks
like a misspelled key which is not there is an error.

Not covered: test scripts in the `.json` form; the `.jsonl` form holds them.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

from novicegym.courses.assignment_lines import parse_assignments
from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite, TypeRule
from novicegym.courses.values import decode_value
from novicegym.errors import CourseError, UsageError

_FORMS = ("function", "program")
_KEYS = (
    "assignment_id",
    "title",
    "prompt",
    "entry_point",
    "cases",
    "tolerance",
    "strict_number_type",
    "python_equality",
    "prelude",
    "forbidden_methods",
    "reference",
    "lesson",
    "concepts",
    "starter",
    "kind",
    "edge_cases",
)
_CASE_KEYS = ("args", "expr", "expected", "stdin", "stdout", "tolerance", "name", "test_id")
_CLOSE = 0.8
"""How like a known key an unknown one must be to be taken for it; "expect" must be."""


class _FormError(Exception):
    """An assignment or a case of the wrong form; the message says what it lacks."""


def open_assignments(path: str | os.PathLike[str]) -> dict[str, Assignment]:
    """Read a tests file that the user named, by id."""
    try:
        with open(path, "rb") as file:
            return read_assignments(os.fspath(path), file)
    except OSError as error:
        raise UsageError(f"tests={os.fspath(path)}: {error.strerror}") from None


def read_assignments(file: str, stream: BinaryIO) -> dict[str, Assignment]:
    """Read an open tests file, by id; `file` is how errors call it. Raises CourseError."""
    if file.endswith(".jsonl"):
        return parse_assignments(stream.read().splitlines(), file)
    try:
        entries = json.loads(stream.read())
    except ValueError as error:
        raise CourseError(f"not JSON: {error}", file=file) from None
    if not isinstance(entries, list):
        raise CourseError("not a list of assignments", file=file)
    assignments: dict[str, Assignment] = {}
    for row, entry in enumerate(entries, 1):
        fail = partial(CourseError, file=file, row=row)
        if not isinstance(entry, dict):
            raise fail(f"not an assignment but {type(entry).__name__}")
        try:
            assignment = _assignment(entry)
        except _FormError as error:
            raise fail(str(error)) from None
        except KeyError as error:
            raise fail("the assignment lacks this field", field=str(error.args[0])) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise fail(f"not an assignment: {error}") from None
        if assignment.id in assignments:
            raise fail("a second assignment of this id", field="assignment_id", value=assignment.id)
        assignments[assignment.id] = assignment
    return assignments


def _assignment(entry: Mapping[str, Any]) -> Assignment:
    if typo := _misspelling(entry, _KEYS):
        raise _FormError(typo)
    if not entry["cases"]:
        raise _FormError("the assignment has no cases")
    entry_point = entry.get("entry_point")
    cases = tuple(
        _case(case, number, entry, entry_point) for number, case in enumerate(entry["cases"], 1)
    )
    reference = entry.get("reference")
    assignment = Assignment(
        id=str(entry["assignment_id"]),
        title=entry.get("title") or str(entry["assignment_id"]),
        prompt=entry["prompt"],
        tests=TestSuite(
            cases=cases,
            setup=entry.get("prelude") or "",
            forbidden_methods=tuple(entry.get("forbidden_methods") or ()),
        ),
        entry_point=entry_point,
        starter=entry.get("starter"),
        lesson=entry.get("lesson"),
        concepts=tuple(entry.get("concepts") or ()),
        solutions=() if reference is None else (reference,),
    )
    kind = entry.get("kind")
    return assignment if kind is None or kind in _FORMS else replace(assignment, kind=kind)


def _misspelling(given: Mapping[str, Any], known: Sequence[str]) -> str:
    """Return what to say of the first key that looks like a known one which is not there."""
    for key in given:
        if key not in known:
            # Beside the key it looks like it is no misspelling: entry_points, expected_repr.
            absent = [name for name in known if name not in given]
            if close := difflib.get_close_matches(key, absent, n=1, cutoff=_CLOSE):
                return f"unknown key {key!r}; did you mean {close[0]!r}"
    return ""


def _check_keys(case: object, number: int) -> None:
    """Raise _FormError unless the case has the keys of one of the three forms."""
    if not isinstance(case, dict):
        raise _FormError(f"case {number} is not an object but {type(case).__name__}")
    typo = _misspelling(case, _CASE_KEYS)
    hint = f": {typo}" if typo else ""
    if "stdout" not in case:
        if "args" not in case and case.get("expr") is None:
            got = ", ".join(case) or "none"
            raise _FormError(
                f"case {number} has the keys {{{got}}}{hint}; a case has {{args, expected}}, "
                "{expr, expected} or {stdin, stdout}"
            )
        if "expected" not in case:
            raise _FormError(f"case {number} lacks 'expected'{hint}")
    if typo:
        raise _FormError(f"case {number}{hint}")


def _case(
    case: Mapping[str, Any], number: int, entry: Mapping[str, Any], entry_point: str | None
) -> CallCase | IOCase:
    _check_keys(case, number)
    name = str(case.get("name") or case.get("test_id") or "")
    if "stdout" in case:
        return IOCase(stdin=case.get("stdin", ""), stdout=case["stdout"], name=name)
    call = case.get("expr")
    if call is None:
        if entry_point is None:
            raise ValueError(f"case {number} has args but the assignment has no entry_point")
        args = [decode_value(arg) for arg in case["args"]]
        call = f"{entry_point}({', '.join(_literal(arg, number) for arg in args)})"
    return CallCase(
        call=call,
        expected=decode_value(case["expected"]),
        name=name,
        tolerance=float(case.get("tolerance", entry.get("tolerance") or 0)),
        types=_type_rule(entry),
    )


def _type_rule(entry: Mapping[str, Any]) -> TypeRule:
    if entry.get("strict_number_type"):
        return "strict"
    return "python" if entry.get("python_equality") else "plain"


def _literal(value: object, number: int) -> str:
    text = repr(value)
    try:
        ast.literal_eval(text)
    except ValueError:
        raise ValueError(
            f"argument {text} of case {number} has no literal; write the call as `expr`"
        ) from None
    return text
