"""Read what a request asks for beyond its path: encodings, entity tags, ranges.

Source: RFC 9110, sections 12.5.3, 13.1 and 14.
"""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_MAX_HEADER = 1024


def takes_gzip(accept: str | None) -> bool:
    """Say whether an Accept-Encoding header takes gzip."""
    for part in (accept or "")[:_MAX_HEADER].split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() in ("gzip", "x-gzip", "*"):
            name, _, value = weight.replace(" ", "").partition("=")
            return not (name.lower() == "q" and re.fullmatch(r"0(\.0*)?", value))
    return False


def names_tag(header: str | None, tag: str) -> bool:
    """Say whether an If-None-Match header names the entity tag `tag`, weakly compared."""
    if header is None:
        return False
    given = [one.strip().removeprefix("W/") for one in header[:_MAX_HEADER].split(",")]
    return "*" in given or tag in given


class Unsatisfiable(Exception):
    """Report a range that lies outside of what there is."""


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last; None to send the whole.

    Several ranges, or what is no range of bytes, count as none, which the standard allows.
    Raises Unsatisfiable for a range that begins behind the end.
    """
    found = _RANGE.fullmatch((header or "").replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        suffix = int(found[2])
        if not suffix or not size:
            raise Unsatisfiable
        return max(0, size - suffix), size
    first = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, min(last, size - 1) + 1
