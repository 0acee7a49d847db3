"""What a bundle carries of the runtime is its code, line for line, and nothing else."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mejiro_runtime
from mejiro.bundle.slim import slim_source

ROOT = Path(mejiro_runtime.__file__).parent


class Undocumented(ast.NodeTransformer):
    """Take the docstrings out of a tree, as the reference to compare with."""

    def visit(self, node: Any) -> Any:
        self.generic_visit(node)
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            first = node.body.pop(0)
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.copy_location(ast.Pass(), first))
        return node


def code_of(source: str | ast.Module) -> Any:
    return told(compile(source, "file.py", "exec", dont_inherit=True))


def told(code: CodeType) -> Any:
    """Return all of a code object but its columns: instructions, constants, names, lines, flags."""
    constants = tuple(
        told(one) if isinstance(one, CodeType) else (type(one).__name__, repr(one))
        for one in code.co_consts
    )
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
    lines = (code.co_firstlineno, tuple(code.co_lines()))
    return code.co_code, constants, names, counts, lines


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.stem)
def test_every_module_compiles_to_the_same_code_on_the_same_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    slim = slim_source(text)
    assert code_of(slim) == code_of(Undocumented().visit(ast.parse(text)))
    assert slim_source(slim) == slim
    assert len(slim.encode()) < len(text.encode())


def test_no_module_reads_its_own_documentation() -> None:
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "__doc__" not in text, path
        assert "import inspect" not in text, path


def test_strings_over_several_lines_stay_as_they_are() -> None:
    text = textwrap.dedent(
        '''\
        """Module."""
        # A comment
        class Empty:
            """Nothing."""

        def one(x):  # why
            """Say."""
            text = """  kept  # as it is
                and this
            """
            return (text,
                    f"""a {x}
                       b""",
                    "#no comment")  # end
        '''
    )
    slim = slim_source(text)
    assert slim.split("\n")[2:4] == ["class Empty:", " pass"]
    assert "# why" not in slim
    assert slim.count("\n") == text.count("\n")
    space: dict[str, Any] = {}
    both = []
    for source in (text, slim):
        exec(source, space)
        both.append(space["one"](3))
    assert both[0] == both[1]
    assert space["one"].__doc__ is None


LINES = st.lists(
    st.sampled_from(
        [
            "x = 1  # one",
            "# alone",
            '"""text"""',
            "if x:",
            "    y = '''a",
            "  # inside'''",
            "    pass",
            "",
            "def f():",
            "    '''doc'''",
            "    return (1,",
            "            2)  # two",
            "y = \\",
            "    3",
        ]
    ),
    max_size=8,
)


@given(LINES)
def test_any_source_that_compiles_stays_the_same(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    assert code_of(slim_source(text)) == code_of(Undocumented().visit(tree))
