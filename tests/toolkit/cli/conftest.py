"""Run commands as `mejiro` does, and return what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mejiro.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function of a command's words that gives its exit code, output and errors."""

    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
