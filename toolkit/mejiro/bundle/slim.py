"""Leave out of Python source what no device runs: docstrings, comments and deep indentation.

Every statement keeps its line, so that a traceback from a device points into the sources here, and
the code that is compiled stays the same but for the docstrings.
"""

from __future__ import annotations

import ast
import io
import tokenize

_NO_CODE = frozenset({tokenize.NL, tokenize.ENDMARKER, tokenize.ENCODING})
# Python 3.12 and later read an f-string in pieces; before, it is one token like any string.
_F_START = getattr(tokenize, "FSTRING_START", None)
_F_END = getattr(tokenize, "FSTRING_END", None)


def slim_source(text: str) -> str:
    """Return `text`, Python source, without docstrings and comments, line for line.

    A body of nothing but a docstring becomes ``pass``. Raises SyntaxError for what is no Python.
    """
    lines = text.split("\n")
    for row, end_row, replacement in _docstrings(ast.parse(text)):
        lines[row - 1 : end_row] = [replacement, *[""] * (end_row - row)]
    depths, inside = _look_at(lines)
    slim = [
        line if row in inside else " " * depths.get(row, 0) + line.strip()
        for row, line in enumerate(lines, start=1)
    ]
    return "\n".join(slim).rstrip("\n") + "\n"


def _docstrings(tree: ast.Module) -> list[tuple[int, int, str]]:
    """Return the first and last row of each docstring, and what to write in its place."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        first = node.body[0]
        alone = len(node.body) == 1 and not isinstance(node, ast.Module)
        replacement = " " * first.col_offset + "pass" if alone else ""
        found.append((first.lineno, first.end_lineno or first.lineno, replacement))
    return found


def _look_at(lines: list[str]) -> tuple[dict[int, int], set[int]]:
    """Cut the comments off `lines`; return the depth of each row that begins a statement.

    Also return the rows that begin inside a string, which must stay as they are.
    """
    depths: dict[int, int] = {}
    inside: set[int] = set()
    comments: list[tuple[int, int]] = []
    depth, begins, f_strings = 0, True, []
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        row, column = token.start
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            depth += 1 if token.type == tokenize.INDENT else -1
        elif token.type == tokenize.COMMENT:
            comments.append((row, column))
        elif token.type == tokenize.NEWLINE:
            begins = True
        elif token.type not in _NO_CODE:
            if begins:
                depths[row] = depth
            begins = False
            if token.type == tokenize.STRING:
                inside.update(range(row + 1, token.end[0] + 1))
            elif token.type == _F_START:
                f_strings.append(row)
            elif token.type == _F_END:
                inside.update(range(f_strings.pop() + 1, token.end[0] + 1))
    for row, column in comments:
        lines[row - 1] = lines[row - 1][:column].rstrip()
    return depths, inside
