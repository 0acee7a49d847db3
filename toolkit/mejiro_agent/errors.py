"""Define what the agent reports to the host as one line, and what makes it stop."""

from __future__ import annotations


class AgentError(Exception):
    """Report what went wrong, what was found, and what to do."""


class Cut(Exception):
    """Report that the connection to the host has ended."""


def one_line(error: BaseException) -> str:
    """Return what an error says as one line without control characters."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
