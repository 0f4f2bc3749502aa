"""The assignments of the embedded course, from the TOML files teachers edit.

One file an assignment, `assignments/<id>.toml`:

    id, title, lesson, kind, concepts, prompt      as in `Assignment`
    entry_point, starter                           optional
    tolerance                                      optional, for the numbers of all call cases
    [[cases]]      name, and either stdin + stdout or call + expected
    [[solutions]]  code

`expected` is the text of a Python literal (`'None'`, `'[1, 2]'`, `'"off"'`): TOML has no
None and no tuple.

Covered: reading the files and rejecting what does not fit this form.
Not covered: whether the solutions are correct, which needs a grader.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files

from novicegym.courses.model import Assignment
from novicegym.courses.suite import CallCase, IOCase, TestSuite
from novicegym.errors import CourseError

_TEXTS = ("id", "title", "lesson", "kind", "prompt")
_OPTIONAL = ("entry_point", "starter", "tolerance")
_LISTS = ("concepts", "cases", "solutions")


def load_assignments() -> dict[str, Assignment]:
    """Return the embedded course's assignments by id, in the order of their lessons."""
    folder = files("novicegym.courses.cs1") / "assignments"
    sources = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".toml")),
        key=lambda entry: entry.name,
    )
    assignments = {}
    for source in sources:
        assignment = parse_assignment(source.read_text(encoding="utf-8"), source.name)
        assignments[assignment.id] = assignment
    return assignments


def parse_assignment(text: str, file: str) -> Assignment:
    """Return the assignment written in `text`. Raises CourseError naming `file` and the field."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"not TOML: {error}", file=file) from error
    _check_keys(data, required=(*_TEXTS, *_LISTS), optional=_OPTIONAL, file=file, where="")
    texts = {key: _text(data, key, file) for key in _TEXTS}
    if f"{texts['id']}.toml" != file:
        raise CourseError("must be the file's name", file=file, field="id", value=texts["id"])
    tolerance = data.get("tolerance", 0.0)
    if not isinstance(tolerance, float) or tolerance < 0:
        raise CourseError("must be a float >= 0", file=file, field="tolerance", value=tolerance)
    return Assignment(
        id=texts["id"],
        title=texts["title"],
        prompt=texts["prompt"].strip(),
        tests=TestSuite(
            cases=tuple(
                _case(row, tolerance, file, f"cases[{i}]")
                for i, row in enumerate(_rows(data, "cases", file))
            )
        ),
        entry_point=_text(data, "entry_point", file) if "entry_point" in data else None,
        starter=_text(data, "starter", file) if "starter" in data else None,
        lesson=texts["lesson"],
        kind=texts["kind"],
        concepts=tuple(str(concept) for concept in data["concepts"]),
        solutions=tuple(
            _solution(row, file, f"solutions[{i}]")
            for i, row in enumerate(_rows(data, "solutions", file))
        ),
    )


def _case(row: Mapping[str, object], tolerance: float, file: str, where: str) -> CallCase | IOCase:
    if "call" not in row:
        _check_keys(row, required=("name", "stdin", "stdout"), file=file, where=where)
        return IOCase(
            stdin=_text(row, "stdin", file, where),
            stdout=_text(row, "stdout", file, where),
            name=_text(row, "name", file, where),
        )
    _check_keys(row, required=("name", "call", "expected"), file=file, where=where)
    expected = _text(row, "expected", file, where)
    try:
        value = ast.literal_eval(expected)
    except (ValueError, SyntaxError) as error:
        raise CourseError(
            "must be a Python literal", file=file, field=f"{where}.expected", value=expected
        ) from error
    return CallCase(
        call=_text(row, "call", file, where),
        expected=value,
        name=_text(row, "name", file, where),
        tolerance=tolerance,
    )


def _solution(row: Mapping[str, object], file: str, where: str) -> str:
    _check_keys(row, required=("code",), file=file, where=where)
    return _text(row, "code", file, where)


def _rows(data: Mapping[str, object], key: str, file: str) -> list[dict[str, object]]:
    rows = data[key]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise CourseError(f"write each as a [[{key}]] table", file=file, field=key, value=rows)
    return rows


def _text(row: Mapping[str, object], key: str, file: str, where: str = "") -> str:
    value = row[key]
    if not isinstance(value, str):
        field = f"{where}.{key}" if where else key
        raise CourseError("must be a string", file=file, field=field, value=value)
    return value


def _check_keys(
    row: Mapping[str, object],
    *,
    required: Iterable[str],
    optional: Iterable[str] = (),
    file: str,
    where: str,
) -> None:
    """Refuse a missing key and an unknown one: a misspelt key would be dropped silently."""
    prefix = f"{where}." if where else ""
    for key in required:
        if key not in row:
            raise CourseError("is missing", file=file, field=prefix + key)
    for key in row:
        if key not in required and key not in optional:
            raise CourseError("is not a field of this table", file=file, field=prefix + key)
