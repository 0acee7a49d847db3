"""Define `mejiro completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mejiro.cli.console import say
from mejiro.errors import UsageError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the lines that teach a shell to complete `mejiro`.

    \b
    Example:
      mejiro completion bash >> ~/.bashrc
    """
    from mejiro.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"click knows no completion for {shell}; use bash, zsh or fish")
    say(kind(cli, {}, "mejiro", "_MEJIRO_COMPLETE").source())
