"""Assignments as lines of JSON: the `assignments.jsonl` of a course directory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

from novicegym.courses.model import Assignment
from novicegym.courses.suite import suite_from_json, suite_to_json
from novicegym.errors import CourseError


def assignment_to_json(assignment: Assignment) -> dict[str, Any]:
    """Return the assignment as JSON-able data, fields at their default left out."""
    data: dict[str, Any] = {}
    for field in fields(assignment):
        value = getattr(assignment, field.name)
        if field.name == "tests":
            data["tests"] = suite_to_json(value)
        elif field.default is MISSING or value != field.default:
            data[field.name] = list(value) if isinstance(value, tuple) else value
    return data


def assignment_from_json(data: Mapping[str, Any]) -> Assignment:
    """Inverse of `assignment_to_json`. Raises KeyError, TypeError or ValueError on bad data."""
    known = {field.name for field in fields(Assignment)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in data.items()
        if name in known
    }
    values["tests"] = suite_from_json(data["tests"])
    return Assignment(**values)


def parse_assignments(lines: Iterable[bytes], file: str) -> dict[str, Assignment]:
    """Return the assignments of an `assignments.jsonl`, by id. Raises CourseError."""
    assignments: dict[str, Assignment] = {}
    for row, line in enumerate(lines, 1):
        fail = partial(CourseError, file=file, row=row)
        try:
            assignment = assignment_from_json(json.loads(line))
        except KeyError as error:
            raise fail("the assignment lacks this field", field=str(error.args[0])) from None
        except (TypeError, ValueError, AttributeError) as error:
            raise fail(f"not an assignment: {error}") from None
        if assignment.id in assignments:
            raise fail("a second assignment of this id", field="id", value=assignment.id)
        assignments[assignment.id] = assignment
    return assignments
