"""What a fresh process runs in the published way of grading: one submission, no isolation.

Reads {"code", "setup", "files", "tests"} as JSON on stdin, executes the program and then the tests
in the same process and namespace, and prints how many passed. A test is a text: an assert
statement, or [stdin, expected output] of a run of the whole program. As published, no prompt of
`input` is echoed, and reading past the end of the input gives "".

Started by grading_baselines.py. Not covered: any defence against the program.
"""

import builtins
import contextlib
import io
import json
import sys
import traceback
from types import CodeType  # traceback has imported it: costs nothing


def read_line(prompt: object = "") -> str:
    return sys.stdin.readline().rstrip("\n")


def run_whole(code: CodeType, stdin: str, expected: str) -> bool:
    sys.stdin = io.StringIO(stdin)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"__name__": "__main__"})
    return printed.getvalue().split() == expected.split()


def main() -> None:
    job = json.load(sys.stdin)
    builtins.input = read_line
    for name, text in job["files"]:
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    passed = 0
    names: dict[str, object] = {"__name__": "__main__", "nan": float("nan"), "inf": float("inf")}
    try:
        code = compile(job["code"], "submission", "exec")
        if any(isinstance(test, str) for test in job["tests"]):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(job["setup"], names)
                exec(code, names)
    except BaseException:
        traceback.print_exc()
        print("passed", 0)
        return
    for test in job["tests"]:
        try:
            if isinstance(test, str):
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(test, names)
                passed += 1
            else:
                passed += run_whole(code, *test)
        except BaseException:
            traceback.print_exc()
    print("passed", passed)


main()
