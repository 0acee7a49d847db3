"""Check the options that several commands share."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from mejiro.cli import options
from mejiro.zoo import Activation, BuildOptions


@click.command()
@options.architecture
def command(**settings: Any) -> None:
    click.echo(repr(options.build_options(settings, seed=3)))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], None),
        (["--alpha", "0.5"], BuildOptions(alpha=0.5, seed=3)),
        (["--phi", "-1", "--image-size", "96"], BuildOptions(phi=-1.0, image_size=96, seed=3)),
        (
            ["--depth", "2", "--activation", "relu6"],
            BuildOptions(depth=2.0, activation=Activation.RELU6, seed=3),
        ),
    ],
)
def test_words_become_build_options(words: list[str], wanted: BuildOptions | None) -> None:
    result = CliRunner().invoke(command, words)
    assert result.output == f"{wanted!r}\n"


def test_an_activation_that_is_not_there_is_a_usage_error() -> None:
    result = CliRunner().invoke(command, ["--activation", "gelu"])
    assert result.exit_code == 2
    assert "hard_swish" in result.output


def test_every_option_has_its_name() -> None:
    assert {parameter.name for parameter in command.params} == set(options.ARCHITECTURE_NAMES)
