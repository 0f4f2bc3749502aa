"""The `cs110.autograder` module that FalconCode's test scripts import.

Runs in the script's own child. A script reaches the student's program only through `run_script`,
or by importing it under its file name, and both ask the supervisor, which runs the program in a
child of its own; what comes back is plain data. What a script prints is the student's feedback.

    output, error = autograder.run_script("lab.py", [3, 4])   # inputs are lines of stdin
    autograder.equals(output, 12)                             # numbers, within delta
    autograder.compare_strings(lines, expected_lines)         # how many lines match

A student's module imported by a script is a stand-in: every call of one of its functions runs the
whole program afresh, takes and returns plain values, and keeps no state between calls.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RUN_SECONDS = 5

ask: Callable[..., Any] = print
"""Sends a question to the supervisor and returns its answer; child.py puts that here."""
consulted: list[bool] = []
"""Not empty once the script has asked anything about the student's program."""


class StudentError(Exception):
    """The student's program raised, when the script used it as a module."""


def run_script(
    filename: str,
    input_list: Any = (),
    print_details: bool = True,
    timeout_in_seconds: float = RUN_SECONDS,
) -> tuple[str, str]:
    """Run the student's program with these inputs; return what it printed, and its error.

    The time limit is the grader's own, whatever `timeout_in_seconds` says.
    """
    inputs = [str(item) for item in input_list]
    if print_details and inputs:
        print("Inputs Provided:", *inputs, "", sep="\n")
    consulted.append(True)
    output, error = ask("run", filename, "".join(item + "\n" for item in inputs))
    if print_details:
        print("Your Program's Output:")
        print(output if output else "No Output Produced\n")
        if error:
            print("Error Occurred:", error, "", sep="\n")
        print("Feedback:")
    return output, error


def code_compiles(filename: str) -> bool:
    """Return whether the student's program compiles."""
    consulted.append(True)
    return bool(ask("compiles", filename))


def equals(value: Any, expected_value: Any, delta: float = 0.01) -> bool:
    """Return whether both are numbers, or texts of numbers, that differ by at most `delta`."""
    try:
        actual, wanted = float(value), float(expected_value)
    except (TypeError, ValueError, OverflowError):
        return False
    return wanted - delta <= actual <= wanted + delta


def compare_strings(
    student_output_list: list[str],
    expected_output_list: list[str],
    auto_trim: bool = True,
    check_order: bool = True,
) -> int:
    """Print line by line whether it is as expected; return the number of lines that are.

    Lines are matched by position. With `check_order=False` a line may match any expected line
    that no other line matched before.
    """
    trim = str.strip if auto_trim else str
    wanted = [trim(str(line)) for line in expected_output_list]
    left = list(wanted)
    matches = 0
    for position, line in enumerate(student_output_list):
        said = trim(str(line))
        print(f"Line {position + 1}: ", end="")
        if check_order:
            correct = position < len(wanted) and said == wanted[position]
        else:
            correct = said in left
            if correct:
                left.remove(said)
        if correct:
            matches += 1
            print("CORRECT")
        elif position < len(wanted):
            print(f"INCORRECT (Expected: '{wanted[position]}')", said)
        else:
            print(f"INCORRECT (Unexpected Line: '{said}')")
    print(matches, "out of", len(wanted), "lines match")
    return matches


class StudentModule:
    """Stands for the student's program where a script imports it."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.__file__ = f"{name}.py"
        _use("__name__", None, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kind, value = _use(name, None, None)
        if kind == "value":
            return value

        def function(*args: Any, **kwargs: Any) -> Any:
            kind, value = _use(name, args, kwargs)
            if kind != "value":
                raise StudentError(f"{name}() returned an object of type {value}")
            return value

        function.__name__ = name
        return function


def _use(name: str, args: Any, kwargs: Any) -> Any:
    consulted.append(True)
    kind, value, printed = ask("use", name, args, kwargs)
    print(printed, end="")
    if kind == "missing":
        raise AttributeError(f"your program has no {name}")
    if kind == "error":
        raise StudentError(value)
    return kind, value


class StudentFinder:
    """Lets `import NAME` in a script find the student's program."""

    def __init__(self, names: tuple[str, ...], spec: Any) -> None:
        self._names, self._spec = names, spec

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return a module spec for the student's names, None for any other."""
        return self._spec(name, self) if name in self._names else None

    def create_module(self, spec: Any) -> Any:
        """Make the stand-in; running the program once, as an import does."""
        return StudentModule(spec.name)

    def exec_module(self, module: Any) -> None:
        """Nothing is left to do."""
