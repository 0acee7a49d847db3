"""Decide which requests a served page answers: names, origins and tokens, as for the live page."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from mejiro.serve.reports import Refused
from mejiro_runtime.sinks.web.access import Access
from mejiro_runtime.sinks.web.http import Refused as Unwelcome
from mejiro_runtime.sinks.web.http import Request

if TYPE_CHECKING:
    from aiohttp import web

MAX_FAILURES_EACH_MINUTE = 20
MAX_ADDRESSES = 1000
MAX_QUERY_FIELDS = 32
# Browsers ask for these without cookies, and they tell no more than the page's name and picture.
OPEN_PATHS = ("/app.webmanifest", "/icons/")


class Gate:
    """Check each request before it is answered; few wrong tokens in a minute from one address."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, request: web.Request) -> str:
        """Return a cookie to set, "" for none; Refused if the request may not be answered."""
        asked = Request(
            request.path,
            {name: [value] for name, value in query_fields(request.query_string)},
            {name.lower(): value for name, value in request.headers.items()},
        )
        if len(request.headers.getall("Host", [])) != 1:
            raise Refused(HTTPStatus.BAD_REQUEST, "a request names one Host")
        try:
            self._access.check_names(asked)
        except Unwelcome as unwelcome:
            raise Refused(unwelcome.status, str(unwelcome)) from None
        if request.path.startswith(OPEN_PATHS):
            return ""
        failures = self._failures.get(request.remote or "")
        if failures is not None and _too_many(failures):
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; wait a minute")
        cookie = self._access.admit(asked)
        if cookie is None:
            if asked.query.get("token"):
                self._count_failure(request.remote or "")
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "open the address that the terminal shows, with its token: it changes whenever "
                "`mejiro serve` starts anew",
            )
        return cookie

    def _count_failure(self, address: str) -> None:
        failures = self._failures.setdefault(address, deque(maxlen=MAX_FAILURES_EACH_MINUTE))
        failures.append(time.monotonic())
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)


def _too_many(failures: deque[float]) -> bool:
    return len(failures) == MAX_FAILURES_EACH_MINUTE and time.monotonic() - failures[0] < 60


def query_fields(text: str) -> list[tuple[str, str]]:
    """Return the fields of a query, none if there are too many."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return []


def without_token(request: web.Request) -> str:
    """Return the request's path and query without the token, so that no history keeps it."""
    left = [field for field in query_fields(request.query_string) if field[0] != "token"]
    return request.rel_url.raw_path + (f"?{urlencode(left)}" if left else "")
