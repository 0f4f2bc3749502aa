"""Which binding every name of a program refers to, for renaming that keeps the meaning.

Covered: function, lambda, class and comprehension scopes, `global` and `nonlocal`, walrus
targets, `except ... as`, match captures, and parameter names used as keywords in calls of
the student's own functions.

Kept as written, because another program could tell the difference: builtins, attributes
(names bound in a class body), classes, imports, names never bound in the program, names with
two leading underscores, a parameter that may be passed by keyword where the callee is not
known, and everything in a program that looks at its own names (`locals()`, `eval`, ...).

Not covered: what is said of a name from outside. Renaming the function a test calls, or a
name in the text of an error message, is not seen as a difference.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

_BUILTINS = frozenset(dir(builtins))

# fmt: off
_NAME_READERS = frozenset({
    "eval", "exec", "compile", "locals", "globals", "vars", "dir", "breakpoint", "help",
    "__import__", "__file__", "__builtins__", "__annotations__", "__loader__", "__spec__",
})
_NAME_ATTRIBUTES = frozenset({
    "__name__", "__qualname__", "__code__", "__globals__", "__closure__", "__annotations__",
    "__kwdefaults__", "__dict__", "__builtins__", "__signature__", "_getframe",
    "_current_frames", "modules", "settrace", "setprofile", "get_type_hints",
})
_NAME_MODULES = frozenset({
    "__main__", "builtins", "inspect", "importlib", "runpy", "pkgutil", "traceback",
    "doctest", "timeit", "cProfile", "profile", "pdb", "bdb", "trace", "code", "codeop", "gc",
    "dis", "pickle",
})
"""With any of these a program may see its own names; then none is renamed."""
# fmt: on

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False, slots=True)
class _Scope:
    kind: Literal["module", "function", "class", "comprehension"]
    parent: _Scope | None
    bound: Counter[str] = field(default_factory=Counter)
    """How often each name is bound here."""
    kept: set[str] = field(default_factory=set)
    """Names bound here by an import or a class statement."""
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    """The parameters that a caller may pass by keyword."""


Binding: TypeAlias = tuple[_Scope, str]


def resolve_names(tree: ast.Module) -> Mapping[tuple[int, str], Binding]:
    """Return the binding of each identifier that may be renamed, by (id of its node, name).

    Two identifiers with the same binding are the same variable. The ids are those of the
    nodes of `tree`, which must outlive the result.
    """
    return _Resolver(tree).result


class _Resolver:
    """One pass over the tree collects names and scopes, then each name is looked up."""

    def __init__(self, tree: ast.Module) -> None:
        self.result: dict[tuple[int, str], Binding] = {}
        self._module = _Scope("module", None)
        self._scopes = [self._module]
        self._names: list[tuple[ast.AST, str, _Scope]] = []
        self._calls: list[tuple[ast.Call | ast.ClassDef, _Scope]] = []
        self._definitions: list[tuple[str, _Scope, _Scope]] = []
        self._star_import = self._introspective = False

        waiting: list[tuple[ast.AST, _Scope]] = [(tree, self._module)]
        while waiting:
            node, scope = waiting.pop()
            waiting += self._visit(node, scope)
        if self._introspective:
            return
        self._settle_declarations()
        kept = self._kept_bindings()
        for node, name, scope in self._names:
            binding = self._lookup(scope, name)
            if binding is not None and binding not in kept:
                self.result[id(node), name] = binding

    def _visit(self, node: ast.AST, scope: _Scope) -> Iterator[tuple[ast.AST, _Scope]]:
        """Take note of the names of one node; yield its children with their scopes."""
        self._introspective |= _looks_at_names(node)
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            yield from self._visit_function(node, scope)
            return
        if isinstance(node, ast.ClassDef):
            self._bind(node, node.name, scope, keep=True)
            self._calls.append((node, scope))
            body = self._open("class", scope)
            yield from ((child, body) for child in node.body)
            yield from (
                (child, scope) for child in (*node.bases, *node.keywords, *node.decorator_list)
            )
            return
        if isinstance(node, _COMPREHENSIONS):
            inner = self._open("comprehension", scope)
            # The first iterable is evaluated outside; everything else inside.
            outside = node.generators[0].iter
            for child in ast.iter_child_nodes(node):
                if child is node.generators[0]:
                    parts = ast.iter_child_nodes(child)
                    yield from ((part, scope if part is outside else inner) for part in parts)
                else:
                    yield child, inner
            return
        if isinstance(node, ast.NamedExpr):
            owner = scope
            while owner.kind == "comprehension" and owner.parent is not None:
                owner = owner.parent
            self._bind(node.target, node.target.id, owner)
            yield node.value, scope
            return
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            # `(x): int` alone is the one annotation that binds nothing.
            self._names.append((node.target, node.target.id, scope))
            if node.simple or node.value is not None:
                scope.bound[node.target.id] += 1
            yield node.annotation, scope
            if node.value is not None:
                yield node.value, scope
            return
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                self._names.append((node, node.id, scope))
            else:
                self._bind(node, node.id, scope)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            (scope.globals if isinstance(node, ast.Global) else scope.nonlocals).update(node.names)
            self._names += [(node, name, scope) for name in node.names]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                self._star_import |= alias.name == "*"
                self._bind(alias, alias.asname or alias.name.partition(".")[0], scope, keep=True)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            if node.name is not None:
                self._bind(node, node.name, scope)
        elif isinstance(node, ast.MatchMapping):
            if node.rest is not None:
                self._bind(node, node.rest, scope)
        elif isinstance(node, ast.Call):
            self._calls.append((node, scope))
        yield from ((child, scope) for child in ast.iter_child_nodes(node))

    def _visit_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: _Scope
    ) -> Iterator[tuple[ast.AST, _Scope]]:
        inner = self._open("function", scope)
        arguments = node.args
        for argument in (*arguments.posonlyargs, arguments.vararg, arguments.kwarg):
            if argument is not None:
                self._bind(argument, argument.arg, inner)
        for argument in (*arguments.args, *arguments.kwonlyargs):
            self._bind(argument, argument.arg, inner)
            inner.parameters.add(argument.arg)
        # Defaults, annotations and decorators are evaluated where the function is defined.
        for part in ast.iter_child_nodes(arguments):
            inside = ast.iter_child_nodes(part) if isinstance(part, ast.arg) else (part,)
            yield from ((child, scope) for child in inside)
        if isinstance(node, ast.Lambda):
            yield node.body, inner
            return
        self._bind(node, node.name, scope)
        if not node.decorator_list:
            self._definitions.append((node.name, scope, inner))
        yield from ((child, inner) for child in node.body)
        yield from ((child, scope) for child in node.decorator_list)
        if node.returns is not None:
            yield node.returns, scope

    def _open(self, kind: Literal["function", "class", "comprehension"], parent: _Scope) -> _Scope:
        scope = _Scope(kind, parent)
        self._scopes.append(scope)
        return scope

    def _bind(self, node: ast.AST, name: str, scope: _Scope, *, keep: bool = False) -> None:
        scope.bound[name] += 1
        if keep:
            scope.kept.add(name)
        self._names.append((node, name, scope))

    def _settle_declarations(self) -> None:
        """Move what a scope binds under `global` or `nonlocal` to the scope that owns it."""
        for scope in self._scopes[1:]:
            for name in sorted((scope.globals | scope.nonlocals) & scope.bound.keys()):
                owner = self._module if name in scope.globals else self._enclosing(scope, name)
                count = scope.bound.pop(name)
                if owner is None:  # `nonlocal` without a binding outside: does not compile
                    continue
                owner.bound[name] += count
                if name in scope.kept:
                    owner.kept.add(name)

    def _enclosing(self, scope: _Scope, name: str) -> _Scope | None:
        """Return the function around `scope` that owns `name`."""
        outer = scope.parent
        while outer is not None:
            if outer.kind == "function" and name not in outer.nonlocals:
                if name in outer.globals:
                    return None
                if name in outer.bound:
                    return outer
            outer = outer.parent
        return None

    def _lookup(self, scope: _Scope, name: str) -> Binding | None:
        """Return the binding `name` has in `scope`; None when the program binds it nowhere."""
        here: _Scope | None = scope
        while here is not None and here is not self._module:
            if here.kind != "class" or here is scope:  # what a class binds, only its body sees
                if name in here.globals:
                    break
                if name in here.bound:
                    return here, name
            here = here.parent
        return (self._module, name) if name in self._module.bound else None

    def _kept_bindings(self) -> set[Binding]:
        kept: set[Binding] = set()
        for scope in self._scopes:
            for name in scope.bound:
                if name in scope.kept or name.startswith("__") or scope.kind == "class":
                    kept.add((scope, name))
                if scope.kind == "class":
                    # A class body that has not bound its name yet reads the global one.
                    kept.add((self._module, name))
        for name in self._module.bound:
            # A global that is not bound yet is looked up among the builtins.
            if name in _BUILTINS or self._star_import:
                kept.add((self._module, name))
        self._match_keywords(kept)
        return kept

    def _match_keywords(self, kept: set[Binding]) -> None:
        """Bind keywords to the parameters they name; keep parameters a keyword may reach."""
        own: dict[Binding, _Scope] = {}
        for name, scope, inner in self._definitions:
            binding = self._lookup(scope, name)
            # Bound once, so that the name can mean nothing but this function.
            if binding is not None and binding[0].bound[name] == 1 and binding[0].kind != "class":
                own[binding] = inner
        loose: set[str] = set()
        any_name = False
        for call, scope in self._calls:
            target = call.func if isinstance(call, ast.Call) else None
            binding = self._lookup(scope, target.id) if isinstance(target, ast.Name) else None
            builtin = isinstance(target, ast.Name) and target.id in _BUILTINS
            if builtin and binding is None and not self._star_import:
                continue  # no builtin hands its keywords on to a function of the student
            callee = own.get(binding) if binding is not None and binding not in kept else None
            for keyword in call.keywords:
                if callee is None:
                    loose.add(keyword.arg or "")
                    # `**options`, or threading.Thread(target=..., kwargs={...}) and its like.
                    any_name |= keyword.arg in (None, "kwargs", "keywords", "kwds")
                elif keyword.arg is None:
                    kept.update((callee, name) for name in callee.parameters)
                elif keyword.arg in callee.parameters:
                    self._names.append((keyword, keyword.arg, callee))
        for scope in self._scopes:
            kept.update((scope, p) for p in scope.parameters if any_name or p in loose)


def _looks_at_names(node: ast.AST) -> bool:
    """Whether with this node the program may depend on how its variables are called."""
    if isinstance(node, ast.Name):
        mangled = node.id.startswith("__") and not node.id.endswith("__")
        return mangled or node.id in _NAME_READERS
    if isinstance(node, ast.Attribute):
        return node.attr in _NAME_ATTRIBUTES
    if isinstance(node, ast.Constant):  # getattr(f, "__name__")
        return isinstance(node.value, str) and node.value in _NAME_ATTRIBUTES
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _NAME_MODULES:
        return True
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names = {alias.name.partition(".")[0] for alias in node.names}
        return bool(names & (_NAME_MODULES | _NAME_ATTRIBUTES))
    # Type parameters (Python 3.12) have scopes of their own; a rarity in student code.
    return bool(getattr(node, "type_params", None)) or type(node).__name__ == "TypeAlias"
