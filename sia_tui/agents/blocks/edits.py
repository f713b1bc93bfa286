"""Small edits of Python source by name, so that a patch holds nothing but what it changes.

Each returns the new source, or None when there is no room for the edit: the name is missing, or nothing would change.
"""

import ast
import sys
from collections.abc import Callable, Mapping, Sequence

Files = Mapping[str, str]
"""The files of a harness, by path relative to its folder."""

Edit = Callable[[str], str | None]


def changed(files: Files, edits: Mapping[str, Edit]) -> dict[str, str] | None:
    """Every edit carried out, or None when one of them has no room: a block is applied whole or not at all."""
    result: dict[str, str] = {}
    for path, edit in edits.items():
        text = edit(files[path]) if path in files else None
        if text is None:
            return None
        result[path] = text
    return result


def in_turn(*edits: Edit) -> Edit:
    """Several edits of one file as one."""

    def edit(source: str) -> str | None:
        text: str | None = source
        for each in edits:
            text = None if text is None else each(text)
        return text

    return edit


def function(name: str, code: str) -> Edit:
    """Put `code` in the place of the top-level function `name`."""

    def edit(source: str) -> str | None:
        place = _statement(source, name)
        return _replaced(source, place, code) if isinstance(place, ast.FunctionDef | ast.AsyncFunctionDef) else None

    return edit


def constant(name: str, value: str, unless: Callable[[object], bool] = lambda _: False) -> Edit:
    """Give the top-level constant `name` another value, unless its present one (a literal) is good enough already."""

    def edit(source: str) -> str | None:
        place = _statement(source, name)
        if not isinstance(place, ast.Assign) or unless(_literal(place.value)):
            return None
        return _replaced(source, place, f"{name} = {value}")

    return edit


def new_constant(name: str, value: str, why: str) -> Edit:
    """Add a constant with its docstring at the end of the head of the module."""

    def edit(source: str) -> str | None:
        if _statement(source, name) is not None:
            return None
        lines, head = source.splitlines(), _head(source)
        end = (head[-1].end_lineno or 0) if head else 0
        gap = [""] if head and isinstance(head[-1], ast.Import | ast.ImportFrom) else []
        return _joined([*lines[:end], *gap, f"{name} = {value}", f'"""{why}"""', *lines[end:]])

    return edit


def new_code(name: str, before: str, code: str) -> Edit:
    """Add the definition of `name` before the top-level statement that defines `before`."""

    def edit(source: str) -> str | None:
        place = _statement(source, before)
        if place is None or _statement(source, name) is not None:
            return None
        lines, start = source.splitlines(), place.lineno - 1
        return _joined([*lines[:start], *code.strip().splitlines(), "", "", *lines[start:]])

    return edit


def listed(name: str, entry: str, order: Sequence[str]) -> Edit:
    """Add `entry` to the tuple of names `name`; names in `order` stand in that order, others keep their place."""

    def edit(source: str) -> str | None:
        entries = names_in(source, name)
        if not entries or entry in entries:
            return None
        later = order[order.index(entry) + 1 :]
        at = next((index for index, known in enumerate(entries) if known in later), len(entries))
        return constant(name, f"({', '.join([*entries[:at], entry, *entries[at:]])})")(source)

    return edit


def names_in(source: str, name: str) -> list[str]:
    """The entries of the top-level tuple `name`, as written; none when there is no such tuple."""
    place = _statement(source, name)
    if not isinstance(place, ast.Assign) or not isinstance(place.value, ast.Tuple):
        return []
    return [ast.unparse(element) for element in place.value.elts]


def imported(statement: str) -> Edit:
    """Have the standard-library import `statement` in the first group of imports; there already is fine."""

    def edit(source: str) -> str | None:
        lines = source.splitlines()
        if statement in lines:
            return source
        imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
        if not imports:
            return None
        at = imports[0].lineno - 1
        while lines[at].startswith(("import ", "from ")) and _import_key(lines[at]) < _import_key(statement):
            at += 1
        gap = [""] if at == imports[0].lineno - 1 and not _is_standard(lines[at]) else []
        return _joined([*lines[:at], statement, *gap, *lines[at:]])

    return edit


def line(old: str, new: str) -> Edit:
    """Put one line in the place of another."""

    def edit(source: str) -> str | None:
        lines = source.splitlines()
        return _joined([new if text == old else text for text in lines]) if old in lines else None

    return edit


def whole(text: str) -> Edit:
    """Another text for the whole file, for files that are not code."""
    return lambda source: None if source.strip() == text.strip() else text


def _statement(source: str, name: str) -> ast.stmt | None:
    """The top-level statement that defines a function, class or constant."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
            return node
    return None


def _replaced(source: str, place: ast.stmt, code: str) -> str | None:
    lines = source.splitlines()
    result = _joined([*lines[: place.lineno - 1], *code.strip().splitlines(), *lines[place.end_lineno :]])
    return None if result == source else result


def _head(source: str) -> list[ast.stmt]:
    """The statements before the first definition: docstring, imports, constants."""
    body = ast.parse(source).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    first = next((index for index, node in enumerate(body) if isinstance(node, kinds)), len(body))
    return body[:first]


def _literal(value: ast.expr) -> object:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def _import_key(statement: str) -> tuple[bool, str]:
    return statement.startswith("from "), statement


def _is_standard(statement: str) -> bool:
    return statement.split()[1].partition(".")[0] in sys.stdlib_module_names


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
