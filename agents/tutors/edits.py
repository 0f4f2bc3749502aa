"""An edit in words: which line, what kind of change, which of the student's own names.

    Look at line 3: the comparison `<` in it is not right.
    Look at line 5: after it an assignment is missing. It concerns `total`.

What is to stand there is never shown. Names and signs in backticks are the student's own: they
stand in the student's program already. Lines are numbered as in the last submission, from 1.

Covered: lines of any text, changed, moved to another block, missing or too many. Not covered: what
an edit is for. A line that is to change in several places is described by the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from novicegym.agents.novice_faults import Fault, find_faults
from novicegym.agents.novice_source import RESERVED, Token, lex
from novicegym.agents.tutors.hand import indent_width, lexemes, same_line
from novicegym.agents.tutors.words import joined, own_names

_MOST_NAMES = 3
_STATEMENTS = {
    "if": "a condition",
    "elif": "a condition",
    "else": "another case",
    "for": "a loop",
    "while": "a loop",
    "return": "a result to give back",
    "print": "an output",
    "def": "a function",
    "import": "an import",
    "from": "an import",
    "break": "a way out",
    "continue": "a way on",
    "try": "a guard against errors",
    "except": "a guard against errors",
}
_SIGNS = {
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), "the comparison"),
    **dict.fromkeys(("+", "-", "*", "/", "//", "%", "**"), "the operator"),
    **dict.fromkeys(("=", "+=", "-=", "*=", "/=", "//=", "%=", "**="), "the assignment"),
    **dict.fromkeys(("and", "or", "not", "in", "is"), "the operator"),
}
_MARKS = {
    **dict.fromkeys("()[]{}", "a bracket"),
    **dict.fromkeys("'\"", "a quotation mark"),
    ":": "a colon",
    ",": "a comma",
    ".": "a dot",
}
_MISSING_SIGNS = {
    "the comparison": "a comparison",
    "the operator": "an operator",
    "the assignment": "an assignment",
}


def faults_that_matter(code: str, target: str) -> list[Fault]:
    """Return `find_faults` of the two without those that only look different."""
    lines = code.rstrip().split("\n")
    return [
        fault
        for fault in find_faults(code, target)
        if not (
            fault.end - fault.start == len(fault.lines)
            and all(map(same_line, lines[fault.start : fault.end], fault.lines))
        )
    ]


def place(code: str, fault: Fault) -> str:
    """Return where in the program a fault is: "line 3", "lines 3 to 5", "after line 7"."""
    filled = [n for n, line in enumerate(code.rstrip().split("\n"), start=1) if lexemes(line)]
    inside = [number for number in filled if fault.start < number <= fault.end]
    if inside:
        first, last = inside[0], inside[-1]
        return f"line {first}" if first == last else f"lines {first} to {last}"
    above = [number for number in filled if number <= fault.start]
    return f"after line {above[-1]}" if above else f"before line {filled[0] if filled else 1}"


def describe(code: str, fault: Fault) -> str:
    """Return the sentence, or two, that says what is to change in `code` by this fault."""
    old = [line for line in code.rstrip().split("\n")[fault.start : fault.end] if lexemes(line)]
    new = [line for line in fault.lines if lexemes(line)]
    side, _, where = place(code, fault).partition(" ") if not old else ("", "", place(code, fault))
    concerned = ""
    if not old:
        what = f"{_statements(new)} missing {side} it"
        concerned = _concerned(code, new)
    elif not new:
        what = f"{'it does' if len(old) == 1 else 'they do'} not belong there"
    elif list(map(lexemes, old)) == list(map(lexemes, new)):
        far = indent_width(new[0]) < indent_width(old[0])
        it_is = "it is" if len(old) == 1 else "they are"
        what = f"{it_is} indented {'too far' if far else 'not far enough'}"
    elif len(old) == len(new) == 1:
        what, parts = _inside(old[0], new[0])
        concerned = _concerned(code, parts, what)
    else:
        what = "something is missing there" if len(new) > len(old) else "there is another way"
        concerned = _concerned(code, [*old, *new])
    return f"Look at {where}: {what}.{concerned}"


def _statements(lines: Sequence[str]) -> str:
    return _statement(lines[0]) + (" is" if len(lines) == 1 else " and more with it are")


def _statement(line: str) -> str:
    first = lexemes(line)[0]
    if first in _STATEMENTS:
        return _STATEMENTS[first]
    signs = {_SIGNS.get(lexeme) for lexeme in lexemes(line)}
    return "an assignment" if "the assignment" in signs else "a statement"


def _inside(old: str, new: str) -> tuple[str, list[str]]:
    """Return what is to change in one line, and the texts that the change is made of."""
    mine, wanted = (
        [t for t in lex(text) if t.kind not in ("space", "comment")] for text in (old, new)
    )
    matcher = SequenceMatcher(None, lexemes(old), lexemes(new), autojunk=False)
    tag, a, b, c, d = next(code for code in matcher.get_opcodes() if code[0] != "equal")
    gone, come = mine[a:b], wanted[c:d]
    texts = [" ".join(token.text for token in tokens) for tokens in (gone, come)]
    if tag == "insert":
        side = "at its end" if a == len(mine) else "at its beginning" if a == 0 else "in it"
        return f"{_absent(come)} is missing {side}", texts
    part = next((named for token in gone if (named := _named(token))), "a part of it")
    if tag == "delete":
        return f"{part} {'is' if len(gone) == 1 else 'and what stands with it are'} too much", texts
    return f"{part} in it is not right" if part != "a part of it" else f"{part} is not right", texts


def _named(token: Token) -> str:
    """Return what a person calls a token of the student's, "" for what has no name."""
    text = token.text
    if text in _SIGNS:
        return f"{_SIGNS[text]} `{text}`"
    if text in _MARKS:
        return _MARKS[text]
    if token.kind == "string":
        return "the text"
    if token.kind == "number":
        return "the number"
    if token.kind == "name" and own_names(text):
        return f"the name `{text}`"
    return f"the word `{text}`" if text in RESERVED else ""


def _absent(tokens: Sequence[Token]) -> str:
    """Return what kind of thing the tokens are that are not there yet."""
    kinds = {token.kind for token in tokens}
    texts = [token.text for token in tokens]
    if len(tokens) == 1 and texts[0] in _MARKS:
        return _MARKS[texts[0]]
    for text in texts:
        if text in _SIGNS:
            return _MISSING_SIGNS[_SIGNS[text]]
    if "(" in texts and "name" in kinds:
        return "a call"
    if "[" in texts:
        return "an index"
    return (
        "a name" if "name" in kinds else "a value" if kinds & {"number", "string"} else "something"
    )


def _concerned(code: str, parts: Sequence[str], said: str = "") -> str:
    """Return a sentence on the names of the code that occur in the parts and were not said."""
    own = set(own_names(code))
    names = [name for name in own_names("\n".join(parts)) if name in own]
    names = [name for name in names if f"`{name}`" not in said][:_MOST_NAMES]
    return f" It concerns {joined(f'`{name}`' for name in names)}." if names else ""
