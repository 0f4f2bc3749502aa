"""Logic errors: the program runs and is wrong.

Over 300 lines because there is one small finder per kind and splitting them would hide the
catalogue.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from novicegym.agents.novice_catalogue import bug, one
from novicegym.agents.novice_source import Edit, Edits, Source, indent_of, is_fstring, reindent

_SIGNS: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}
_BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_REVERSED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_ARITHMETIC = {"+": "-", "-": "+", "*": "+", "//": "%", "%": "//"}


def _signs(source: Source, swap: dict[str, str]) -> Iterator[Edits]:
    """Yield the replacement of each comparison or arithmetic sign that `swap` has."""
    for node in source.nodes(ast.Compare, ast.BinOp):
        if isinstance(node, ast.BinOp):
            operators: list[ast.AST] = [node.op]
            operands = [node.left, node.right]
        else:
            operators, operands = list(node.ops), [node.left, *node.comparators]
        for operator, left, right in zip(operators, operands, operands[1:], strict=False):
            sign = _SIGNS.get(type(operator), "")
            start = source.text.find(sign, source.end(left), source.start(right))
            if sign in swap and start >= 0:
                yield one(start, start + len(sign), swap[sign])


@bug("logic", "conditions", 7, "ettles2018 spohrer1986 pea1986", "is off at the boundary: < for <=")
def boundary_comparison(source: Source) -> Iterator[Edits]:
    yield from _signs(source, _BOUNDARY)


@bug("logic", "conditions", 3, "ettles2018 qian2017", "compares the wrong way round")
def reversed_comparison(source: Source) -> Iterator[Edits]:
    yield from _signs(source, _REVERSED)


@bug("logic", "conditions", 2, "ettles2018 qian2017", "negates a condition, or forgets to")
def negated_condition(source: Source) -> Iterator[Edits]:
    yield from _signs(source, {"==": "!=", "!=": "=="})
    for node in source.nodes(ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            yield one(source.start(node), source.start(node.operand), "")


@bug("logic", "conditions", 5, "ettles2018 spohrer1986 qian2017", "swaps and with or")
def and_or_swapped(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.BoolOp):
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            gap = source.text[source.end(left) : source.start(right)]
            at = re.search(rf"\b{word}\b", gap)
            if at:
                start = source.end(left) + at.start()
                yield one(start, start + len(word), other)


@bug("logic", "conditions", 3, "pea1986 ettles2018", "leaves out one half of a condition")
def half_condition(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.BoolOp):
        first, second = node.values[0], node.values[1]
        if "(" not in source.text[source.start(node) : source.start(first)]:
            yield one(source.start(first), source.start(second), "")
            yield one(source.end(node.values[-2]), source.end(node), "")


@bug("logic", "conditions", 4, "spohrer1986 ettles2018", "leaves out the else, or one of the cases")
def missing_else(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.If):
        if node.orelse and node.end_lineno is not None:
            first = source.lines[_else_line(source, node) - 1]
            if re.match(r"\s*else\s*:", first):
                start = source.line_starts[_else_line(source, node) - 1]
                yield one(start, min(source.line_starts[node.end_lineno], len(source.text)), "")


def _else_line(source: Source, node: ast.If) -> int:
    """Return the number of the line that starts the node's else or elif."""
    line = node.orelse[0].lineno
    while line > node.lineno and not re.match(r"\s*(else|elif)\b", source.lines[line - 1]):
        line -= 1
    return line


@bug("logic", "conditions", 3, "sirkia2012 ettles2018", "writes if where elif is meant")
def if_for_elif(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.If):
        start = source.start(node)
        if source.text.startswith("elif", start):
            yield one(start, start + 4, "if")


@bug("logic", "conditions", 2, "ettles2018 pea1986", "swaps what two branches do")
def swapped_branches(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.If):
        if len(node.body) == len(node.orelse) == 1 and not isinstance(node.orelse[0], ast.If):
            a, b = node.body[0], node.orelse[0]
            if isinstance(a, (ast.Return, ast.Assign, ast.Expr, ast.AugAssign)):
                yield (
                    Edit(source.start(a), source.end(a), source.segment(b)),
                    Edit(source.start(b), source.end(b), source.segment(a)),
                )


@bug("logic", "loops", 8, "ettles2018 spohrer1986 duboulay1986", "is off by one in range")
def range_off_by_one(source: Source) -> Iterator[Edits]:
    for call in source.nodes(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id == "range" and call.args:
            stop = call.args[min(1, len(call.args) - 1)]
            text = source.segment(stop)
            if text.endswith((" + 1", " - 1")):
                yield one(source.start(stop), source.end(stop), text[:-4])
            elif text.endswith(("+1", "-1")):
                yield one(source.start(stop), source.end(stop), text[:-2])
            else:
                yield one(source.end(stop), source.end(stop), " - 1")
            first = call.args[0]
            if len(call.args) == 1:
                yield one(source.start(first), source.start(first), "1, ")
            elif source.segment(first) == "1":
                yield one(source.start(first), source.end(first), "0")
                yield one(source.start(first), source.start(stop), "")
            elif source.segment(first) == "0":
                yield one(source.start(first), source.end(first), "1")


@bug("logic", "values", 4, "spohrer1986 ettles2018", "starts a variable with the wrong value")
def wrong_initial_value(source: Source) -> Iterator[Edits]:
    wrong = {"0": "1", "1": "0", '""': '" "', "''": "' '", "-1": "0", "True": "False"}
    wrong["False"] = "True"
    for node in source.nodes(ast.Assign):
        text = source.segment(node.value)
        if text in wrong:
            yield one(source.start(node.value), source.end(node.value), wrong[text])
        elif re.fullmatch(r"\w+\[0\]", text):
            yield one(source.start(node.value), source.end(node.value), "0")


@bug("logic", "values", 3, "ettles2018 spohrer1986", "has a constant slightly wrong")
def wrong_constant(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Constant):
        text = source.segment(node)
        if re.fullmatch("[0-9]{1,9}", text) and not isinstance(
            source.parents.get(node), ast.Assign
        ):
            number = int(text)
            yield one(source.start(node), source.end(node), str(number + 1))
            if number > 0:
                yield one(source.start(node), source.end(node), str(number - 1))
            if number >= 10 and text[-2:] != text[:-3:-1]:
                swapped = text[:-2] + text[:-3:-1]
                yield one(source.start(node), source.end(node), swapped)


@bug("logic", "functions", 5, "ettles2018 smith2019 qian2017", "returns from inside the loop")
def return_in_loop(source: Source) -> Iterator[Edits]:
    for block in source.blocks:
        for before, after in pairwise(block):
            span = source.whole_lines(after)
            if isinstance(before, (ast.For, ast.While)) and isinstance(after, ast.Return) and span:
                yield _moved(source, span, indent_of(source.lines[before.body[-1].lineno - 1]))


@bug(
    "logic", "loops", 4, "spohrer1986 pea1986 ettles2018", "does after the loop what belongs in it"
)
def statement_after_loop(source: Source) -> Iterator[Edits]:
    for loop in source.nodes(ast.For, ast.While):
        last = loop.body[-1]
        span = source.whole_lines(last)
        if len(loop.body) > 1 and span and not loop.orelse and not _leaves(last):
            yield _moved(source, span, indent_of(source.lines[loop.lineno - 1]))


@bug("logic", "loops", 3, "spohrer1986 ettles2018", "does in the loop what belongs after it")
def statement_into_loop(source: Source) -> Iterator[Edits]:
    for block in source.blocks:
        for before, after in pairwise(block):
            span = source.whole_lines(after)
            if isinstance(before, (ast.For, ast.While)) and isinstance(after, ast.Expr) and span:
                yield _moved(source, span, indent_of(source.lines[before.body[-1].lineno - 1]))


@bug("logic", "loops", 3, "spohrer1986 sirkia2012", "gives the first value anew in every round")
def initial_in_loop(source: Source) -> Iterator[Edits]:
    for block in source.blocks:
        for before, loop in pairwise(block):
            span = source.whole_lines(before)
            if isinstance(before, ast.Assign) and isinstance(loop, (ast.For, ast.While)) and span:
                inner = indent_of(source.lines[loop.body[0].lineno - 1])
                line = source.text[span[0] : span[1]].lstrip(" \t")
                into = source.line_starts[loop.body[0].lineno - 1]
                yield (Edit(*span, ""), Edit(into, into, inner + line))


def _moved(source: Source, span: tuple[int, int], indent: str) -> Edits:
    """Return the edit that gives a statement's lines another indentation."""
    lines = source.text[span[0] : span[1]].splitlines(keepends=True)
    return one(*span, reindent(lines, indent_of(lines[0]), indent))


def _leaves(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Return, ast.Break, ast.Continue))


@bug("logic", "loops", 0.4, "ettles2018 smith2019", "forgets to change what the while loop tests")
def endless_loop(source: Source) -> Iterator[Edits]:
    for loop in source.nodes(ast.While):
        tested = {node.id for node in ast.walk(loop.test) if isinstance(node, ast.Name)}
        changes = [
            node
            for node in loop.body
            if isinstance(node, (ast.Assign, ast.AugAssign))
            and {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & tested
        ]
        for node in changes:
            span = source.whole_lines(node)
            if span and len(loop.body) > 1:
                yield one(*span, "")


@bug("logic", "loops", 2, "ettles2018 duboulay1986", "leaves the loop in the first round")
def early_exit(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Break):
        branch, loop = source.parents.get(node), source.enclosing(node, ast.For, ast.While)
        span = source.whole_lines(node)
        if isinstance(branch, ast.If) and loop is not None and len(branch.body) > 1 and span:
            yield _moved(source, span, indent_of(source.lines[branch.lineno - 1]))


@bug("logic", "functions", 5, "smith2019 qian2017 ettles2018", "prints the result for returning it")
def print_for_return(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Return):
        if node.value is not None:
            value = source.text[source.start(node) + 6 : source.end(node)].strip()
            yield one(source.start(node), source.end(node), f"print({value})")


@bug("logic", "functions", 4, "smith2019 qian2017 altadmri2015", "does not return the result")
def missing_return(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Return):
        block = next((block for block in source.blocks if node in block), [])
        span = source.whole_lines(node)
        if node.value is not None and isinstance(node.value, (ast.Name, ast.BinOp, ast.Call)):
            yield one(source.start(node), source.start(node.value), "")
        if span and len(block) > 1:
            yield one(*span, "")


@bug("logic", "functions", 2, "altadmri2015 qian2017", "calls a function and drops what it returns")
def dropped_result(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Assign):
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            yield one(source.start(node), source.start(node.value), "")


@bug("logic", "arithmetic", 4, "ettles2018 qian2017 altadmri2015", "divides with / for // or back")
def integer_division(source: Source) -> Iterator[Edits]:
    yield from _signs(source, {"/": "//", "//": "/"})


@bug("logic", "arithmetic", 3, "ettles2018 pea1986", "takes the wrong arithmetic operator")
def wrong_operator(source: Source) -> Iterator[Edits]:
    yield from _signs(source, _ARITHMETIC)


@bug("logic", "arithmetic", 2, "ettles2018 duboulay1986", "leaves out the brackets of a formula")
def missing_precedence(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.BinOp):
        for side in (node.left, node.right):
            start, end = source.start(side), source.end(side)
            around = source.text[start - 1 : start] + source.text[end : end + 1]
            if isinstance(side, ast.BinOp) and around == "()":
                yield (Edit(start - 1, start, ""), Edit(end, end + 1, ""))


@bug(
    "logic", "values", 4, "spohrer1986 duboulay1986 ettles2018", "overwrites what it should add to"
)
def overwritten_accumulator(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.AugAssign):
        gap = source.text[source.end(node.target) : source.start(node.value)]
        at = source.end(node.target) + gap.find("=")
        yield one(at - 1, at, "")
    for update in source.nodes(ast.Assign):
        target, value = update.targets[0], update.value
        if isinstance(target, ast.Name) and isinstance(value, ast.BinOp):
            if source.segment(value.left) == target.id:
                yield one(source.start(value), source.start(value.right), "")
            elif source.segment(value.right) == target.id:
                yield one(source.end(value.left), source.end(value), "")


@bug("logic", "names", 4, "ettles2018 pea1986", "uses another variable than the one meant")
def wrong_variable(source: Source) -> Iterator[Edits]:
    names = source.variables
    for node in source.nodes(ast.Name):
        if isinstance(node.ctx, ast.Load) and node.id in names:
            index = names.index(node.id)
            for other in names[max(0, index - 2) : index + 3]:
                if other != node.id:
                    yield one(source.start(node), source.end(node), other)


@bug("logic", "names", 2, "ettles2018 spohrer1986", "updates another variable than the one meant")
def wrong_counter(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.AugAssign, ast.Assign):
        target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
        if isinstance(target, ast.Name) and source.enclosing(node, ast.For, ast.While):
            for other in source.variables:
                if other != target.id:
                    yield one(source.start(target), source.end(target), other)


@bug("logic", "lists", 2, "duboulay1986 qian2017", "takes the index for the element, or back")
def index_for_element(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Subscript):
        if isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Name):
            yield one(source.start(node), source.end(node), source.segment(node.slice))


@bug("logic", "lists", 2, "ettles2018 duboulay1986", "cuts a slice one short or one long")
def slice_off_by_one(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Slice):
        for bound in (node.lower, node.upper):
            if bound is not None:
                yield one(source.end(bound), source.end(bound), " + 1")
                if isinstance(bound, ast.BinOp) and source.segment(bound).endswith("1"):
                    yield one(source.end(bound.left), source.end(bound), "")


@bug("logic", "text", 6, "ettles2018 smith2019", "spells the output differently from the task")
def output_spelling(source: Source) -> Iterator[Edits]:
    for token in source.tokens:
        body = token.text[1:-1]
        if token.kind != "string" or '"""' in token.text or not re.search("[a-zA-Z]{3}", body):
            continue
        words = list(re.finditer(r"(?<![{\w])[A-Za-z]{3,}(?![\w}])", token.text))
        for match in words:
            start, word = token.start + match.start(), match.group()
            yield one(start, start + len(word), word.swapcase() if word.isupper() else word.upper())
            yield one(start, start + 1, word[0].swapcase())
            yield one(start + len(word) - 2, start + len(word), word[-1] + word[-2])
        mark = re.search(r"[:.!,] ?(?=[\"'{])", token.text)
        if mark and words:
            yield one(token.start + mark.start(), token.start + mark.end(), " ")


@bug("logic", "text", 3, "ettles2018 qian2017", "forgets the rounding or the format of a number")
def missing_format(source: Source) -> Iterator[Edits]:
    for token in source.tokens:
        if token.kind == "string" and is_fstring(token.text):
            for match in re.finditer(r":[^{}'\"]*(?=\})", token.text):
                yield one(token.start + match.start(), token.start + match.end(), "")
    for call in source.nodes(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id == "round" and len(call.args) == 2:
            yield one(source.start(call), source.end(call), source.segment(call.args[0]))


@bug("logic", "text", 3, "ettles2018 qian2017", "forgets .lower(), .strip() and their like")
def missing_normalising(source: Source) -> Iterator[Edits]:
    for call in source.nodes(ast.Call):
        if isinstance(call.func, ast.Attribute) and not call.args:
            yield one(source.end(call.func.value), source.end(call), "")


@bug(
    "logic",
    "text",
    3,
    "smith2019 ettles2018",
    "leaves a print in the program that was for checking",
)
def debugging_print(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Assign, ast.AugAssign):
        target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
        span = source.whole_lines(node)
        if isinstance(target, ast.Name) and span and source.text[span[1] - 1 : span[1]] == "\n":
            indent = indent_of(source.lines[node.lineno - 1])
            yield one(span[1], span[1], f"{indent}print({target.id})\n")


@bug("logic", "functions", 4, "spohrer1986 pea1986", "leaves out a step of the plan")
def missing_step(source: Source) -> Iterator[Edits]:
    for block in source.blocks:
        for node in block if len(block) > 1 else ():
            span = source.whole_lines(node)
            small = node.end_lineno is not None and node.end_lineno - node.lineno < 3
            if span and small and isinstance(node, (ast.If, ast.Expr, ast.AugAssign)):
                yield one(*span, "")
