"""Errors that mostly raise: names that do not exist, values of the wrong type, bad indices."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from novicegym.agents.novice_catalogue import bug, one
from novicegym.agents.novice_source import BUILTINS, Edits, Source

_METHODS = {
    "append": "add",
    "lower": "lowercase",
    "upper": "uppercase",
    "strip": "trim",
    "split": "Split",
    "isalpha": "isAlpha",
    "isdigit": "isDigit",
    "items": "item",
    "get": "find",
    "join": "Join",
    "keys": "key",
    "values": "value",
}


def typos(name: str) -> Iterator[str]:
    """Yield how a hand slips on a name: swapped, dropped or doubled letters, capitals, plurals."""
    if len(name) > 3:
        middle = len(name) // 2
        yield name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :]
        yield name[:middle] + name[middle + 1 :]
    if len(name) > 2:
        yield name[:-1] if name.endswith("s") else name + "s"
    yield name.capitalize() if name[0].islower() else name.lower()
    if "_" in name.strip("_"):
        yield name.replace("_", "", 1)


@bug(
    "runtime",
    "names",
    6,
    "smith2019 kohn2019 mccall2014",
    "misspells a variable where it is used or set",
)
def name_typo(source: Source) -> Iterator[Edits]:
    known = {*source.variables, *source.functions}
    for node in source.nodes(ast.Name):
        if node.id in known:
            for typo in typos(node.id):
                if typo not in known and typo not in BUILTINS and typo.isidentifier():
                    yield one(source.start(node), source.end(node), typo)


@bug("runtime", "names", 2, "kohn2019 brown2017", "misspells or capitalises a built-in name")
def builtin_typo(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Name):
        if node.id in BUILTINS and isinstance(node.ctx, ast.Load):
            yield one(source.start(node), source.end(node), node.id.capitalize())
            for typo in list(typos(node.id))[:2]:
                if typo not in BUILTINS:
                    yield one(source.start(node), source.end(node), typo)


@bug("runtime", "names", 2, "smith2019 kohn2019", "writes true and false as in other languages")
def lowercase_constant(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Constant):
        if node.value is True or node.value is False or node.value is None:
            yield one(source.start(node), source.end(node), str(node.value).lower())


@bug(
    "runtime",
    "text",
    3,
    "smith2019 qian2017",
    "joins text and a number without str(...)",
)
def missing_str(source: Source) -> Iterator[Edits]:
    for call in _calls(source, "str"):
        yield one(source.start(call), source.end(call), source.segment(call.args[0]))


@bug(
    "runtime",
    "values",
    4,
    "qian2017 pea1986 smith2019",
    "forgets that input is text: no int(...) or float(...) around it",
)
def missing_conversion(source: Source) -> Iterator[Edits]:
    for call in (*_calls(source, "int"), *_calls(source, "float")):
        yield one(source.start(call), source.end(call), source.segment(call.args[0]))


@bug("runtime", "functions", 2, "altadmri2015 mccall2014", "leaves out an argument of a call")
def missing_argument(source: Source) -> Iterator[Edits]:
    for call in source.nodes(ast.Call):
        for index, argument in enumerate(call.args):
            start, end = source.start(argument), source.end(argument)
            if index + 1 < len(call.args):
                yield one(start, source.start(call.args[index + 1]), "")
            else:
                yield one(source.end(call.args[index - 1]) if index else start, end, "")


@bug(
    "runtime",
    "values",
    4,
    "spohrer1986 duboulay1986 smith2019",
    "uses a variable that was never given a first value",
)
def missing_initial(source: Source) -> Iterator[Edits]:
    seen: set[str] = set()
    for node in source.nodes(ast.Assign):
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id not in seen:
            seen.add(target.id)
            block = next((block for block in source.blocks if node in block), [])
            span = source.whole_lines(node)
            if span is not None and len(block) > 1:
                yield one(*span, "")


@bug(
    "runtime",
    "lists",
    4,
    "ettles2018 duboulay1986 smith2019",
    "counts indices from one: runs past the end of a list or text",
)
def index_past_end(source: Source) -> Iterator[Edits]:
    for call in _calls(source, "range"):
        bound = call.args[min(1, len(call.args) - 1)]
        if "len(" in source.segment(bound):
            text = source.segment(bound)
            new = text[:-4] if text.endswith(" - 1") else f"{text} + 1"
            yield one(source.start(bound), source.end(bound), new)
    for node in source.nodes(ast.Subscript):
        if isinstance(node.slice, ast.Name):
            yield one(source.end(node.slice), source.end(node.slice), " + 1")
        elif isinstance(node.slice, ast.BinOp) and source.segment(node.slice).endswith("- 1"):
            left = node.slice.left
            yield one(source.end(left), source.end(node.slice), "")


@bug("runtime", "lists", 2, "kohn2019 smith2019", "calls a method that does not exist")
def wrong_method(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Attribute):
        if node.attr in _METHODS:
            end = source.end(node)
            yield one(end - len(node.attr), end, _METHODS[node.attr])


@bug("runtime", "lists", 1, "qian2017 smith2019", "asks for the length as x.length")
def length_attribute(source: Source) -> Iterator[Edits]:
    for call in _calls(source, "len"):
        if isinstance(call.args[0], ast.Name):
            new = f"{source.segment(call.args[0])}.length"
            yield one(source.start(call), source.end(call), f"{new}()")
            yield one(source.start(call), source.end(call), new)


@bug("runtime", "functions", 1.5, "kohn2019 mccall2014", "names a method without calling it")
def missing_call(source: Source) -> Iterator[Edits]:
    for call in source.nodes(ast.Call):
        if not call.args and not call.keywords:
            yield one(source.end(call.func), source.end(call), "")


@bug("runtime", "functions", 1.5, "smith2019 mccall2014", "defines the function by another name")
def wrong_function_name(source: Source) -> Iterator[Edits]:
    for name, node in source.functions.items():
        start = source.text.find(name, source.start(node))
        for typo in typos(name):
            if start >= 0 and typo.isidentifier() and typo not in source.functions:
                yield one(start, start + len(name), typo)


@bug("runtime", "functions", 1, "sirkia2012 qian2017", "leaves out a parameter of a function")
def missing_parameter(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.FunctionDef):
        args = node.args.args
        if args and not node.args.defaults:
            start = source.end(args[-2]) if len(args) > 1 else source.start(args[-1])
            yield one(start, source.end(args[-1]), "")


@bug("runtime", "lists", 1, "kohn2019 smith2019", "indexes with round brackets")
def round_index(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.Subscript):
        if isinstance(node.slice, (ast.Name, ast.Constant, ast.BinOp)):
            inside = source.segment(node.slice)
            yield one(source.end(node.value), source.end(node), f"({inside})")


@bug("runtime", "arithmetic", 1, "qian2017 duboulay1986", "indexes or counts with a float")
def float_count(source: Source) -> Iterator[Edits]:
    for node in source.nodes(ast.BinOp):
        if isinstance(node.op, ast.FloorDiv):
            gap = source.text[source.end(node.left) : source.start(node.right)]
            inside = source.enclosing(node, ast.Call, ast.Subscript)
            if inside is not None and gap.count("//") == 1:
                start = source.end(node.left)
                yield one(start, start + len(gap), gap.replace("//", "/"))


def _calls(source: Source, name: str) -> Iterator[ast.Call]:
    for call in source.nodes(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id == name and call.args:
            yield call
