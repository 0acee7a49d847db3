"""Make what viewers are sent: once for all of them, and only while somebody watches."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns
from typing import Any, NamedTuple, TypedDict

from mejiro_runtime import opencv
from mejiro_runtime.sinks.overlay import draw, fit, lay_heat
from mejiro_runtime.sinks.web.numbers import STACK, STAGES, Numbers
from mejiro_runtime.sinks.web.patience import within
from mejiro_runtime.types import Frame, Result, Timing

TICK_S = 0.1  # at most ten pictures a second
IDLE_TICK_S = 1.0
FACTS_EVERY_TICKS = 10
LONGEST_SIDE = 640
JPEG_QUALITY = 80
BACKLOG = 8192  # timings kept between two ticks
COSTS = 32


class Facts(TypedDict, total=False):
    """Hold what the run knows and a sink does not; what is unknown is left out.

    `outage` holds `reason` and `seconds` while the source gives nothing. `telemetry` may hold
    `temperature_celsius`, `clock_hz`, `cpu_percent`, `memory_bytes`, `power_watts`, and
    `throttled`, the reasons why the clock is held down. `collecting` says where frames are kept.
    `notes` are sentences to show, such as a fallback.
    """

    bundle: str
    artifact: str
    precision: str
    backend: str
    source: str
    device: str
    dropped: dict[str, int]
    outage: dict[str, Any] | None
    outages: int
    telemetry: dict[str, Any]
    collecting: str | None
    notes: list[str]


class Latest:
    """Hold the newest frame and its result, and the timings since they were last taken away.

    One thread puts, another takes; each of their steps is whole under the interpreter's lock.
    """

    def __init__(self) -> None:
        self.newest: tuple[Frame, Result] | None = None
        self.timings: deque[Timing] = deque(maxlen=BACKLOG)
        self.shown = 0

    def put(self, frame: Frame, result: Result) -> None:
        """Store references, and nothing else: this is on the hot path."""
        self.newest = (frame, result)
        self.timings.append(result.timing)
        self.shown += 1

    def take(self) -> list[Timing]:
        """Return the timings that have gathered, oldest first."""
        taken: list[Timing] = []
        try:
            while len(taken) < BACKLOG:
                taken.append(self.timings.popleft())
        except IndexError:
            pass
        return taken


class Update(NamedTuple):
    """Hold what one tick offers to viewers; all but `live` may be older than the tick.

    `seen` is what was found in `picture`, so that a page shows both at once.
    """

    live: bytes
    seen: bytes
    facts: bytes
    facts_serial: int
    picture: bytes
    picture_serial: int


class Hub:
    """Tick while somebody watches, and offer an Update at each. All in one event loop's thread."""

    def __init__(
        self,
        latest: Latest,
        facts: Callable[[], Facts],
        explain: Callable[[bool], None] | None = None,
    ) -> None:
        self.latest = latest
        self.numbers = Numbers()
        self.explaining = False
        self.viewers = 0
        self._facts, self._explain = facts, explain
        self._waiting: list[Callable[[], bool]] = []
        self._update = Update(b"", b"", b"", 0, b"", 0)
        self._drawn: Result | None = None
        self._next: asyncio.Future[Update] | None = None
        self._watched: asyncio.Event | None = None
        self._ticks = 0
        self._quiet_since_ns = perf_counter_ns()
        self._costs: dict[str, deque[int]] = {
            name: deque(maxlen=COSTS) for name in ("map", "heat", "picture")
        }

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        self._watched = asyncio.Event()
        due = loop.time()
        while True:
            try:
                self._tick()
            except Exception as error:  # noqa: BLE001 - told on the page; no run ends for its page
                self._offer(error=f"{type(error).__name__}: {error}")
            if self.viewers:
                # Kept to the beat: what a tick takes does not make the next one later.
                due = max(due + TICK_S, loop.time() + TICK_S / 10)
                await asyncio.sleep(due - loop.time())
                continue
            try:
                await within(IDLE_TICK_S, self._watched.wait())
            except asyncio.TimeoutError:
                pass

    def enter(self) -> None:
        """Count a viewer in; it gets the facts at once."""
        self.viewers += 1
        self._ticks = 0
        if self._watched is not None:
            self._watched.set()

    def leave(self) -> None:
        """Count a viewer out. What only viewers ask for ends with the last of them."""
        self.viewers -= 1
        if not self.viewers:
            self.explain(on=False)
            if self._watched is not None:
                self._watched.clear()

    def explain(self, *, on: bool) -> None:
        """Lay the activation map over the picture, or stop; nothing where no model can."""
        if self._explain is not None and on != self.explaining:
            self.explaining = on
            self._explain(on)
            self._ticks = 0  # every page shows the switch as it now stands

    async def next(self, wants_picture: Callable[[], bool]) -> Update:
        """Wait for the next tick; a picture is made for it only if some waiting viewer wants one.

        That is asked when the tick comes: a page may become ready for another while it waits.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        waited = self._next
        self._waiting.append(wants_picture)
        try:
            # Shielded: a viewer that leaves must not cancel what the others wait for.
            return await asyncio.shield(waited)
        finally:
            if wants_picture in self._waiting:
                self._waiting.remove(wants_picture)

    def facts(self) -> Facts:
        """Return what the run knows now."""
        return self._facts()

    def count(self) -> None:
        """Take in the timings that have gathered."""
        self.numbers.add(self.latest.take())

    def _tick(self) -> None:
        rows = self.numbers.add(self.latest.take())
        rate = self.numbers.rate(self.latest.shown)
        now = perf_counter_ns()
        if len(rows):
            self._quiet_since_ns = now
        if not self.viewers:
            return
        update = self._update
        if self._ticks % FACTS_EVERY_TICKS == 0:
            facts, serial = _json(self._slow()), update.facts_serial + 1
            update = update._replace(facts=facts, facts_serial=serial)
        self._ticks += 1
        newest = self.latest.newest
        if newest and newest[1] is not self._drawn and any(wants() for wants in self._waiting):
            picture, serial = self._draw(*newest), update.picture_serial + 1
            seen = _json({"seen": _seen(*newest)})
            update = update._replace(seen=seen, picture=picture, picture_serial=serial)
        live: dict[str, Any] = {"shown": self.latest.shown, "fps": rate and round(rate, 2)}
        live["quiet_s"] = round((now - self._quiet_since_ns) / 1e9, 1)
        if len(rows):
            live["stack"] = [round(float(ns) / 1e6, 4) for ns in rows[:, STACK].mean(axis=0)]
            live["peak"] = round(float(rows[:, STAGES.index("age")].max()) / 1e6, 4)
        self._update = update
        self._offer(**live)

    def _offer(self, **live: Any) -> None:
        """Give all who wait what there is."""
        self._update = self._update._replace(live=_json({"live": live}))
        if self._next is not None:
            self._next.set_result(self._update)
            self._next, self._waiting = None, []

    def _slow(self) -> dict[str, Any]:
        """Return what changes slowly or costs more to work out."""
        return {
            "facts": self._facts(),
            "stages": self.numbers.summary(),
            "histogram": self.numbers.histogram(),
            "viewers": self.viewers,
            "explain": {
                "offered": self._explain is not None,
                "on": self.explaining,
                **{f"{name}_ms": _median_ms(costs) for name, costs in self._costs.items()},
            },
        }

    def _draw(self, frame: Frame, result: Result) -> bytes:
        """Return a frame with what was seen in it, as JPEG."""
        start = perf_counter_ns()
        canvas = fit(frame, LONGEST_SIDE)
        if result.heat is not None:
            before = perf_counter_ns()
            lay_heat(canvas, result.heat)
            self._costs["heat"].append(perf_counter_ns() - before)
            self._costs["map"].append(result.heat.cost_ns)
        draw(canvas, result)
        encoded = encode_jpeg(canvas.pixels, JPEG_QUALITY)
        self._costs["picture"].append(perf_counter_ns() - start)
        self._drawn = result
        return encoded

    def snapshot(self) -> bytes | None:
        """Return the newest frame as JPEG in its full size, with nothing drawn; None before it."""
        if self.latest.newest is None:
            return None
        return encode_jpeg(fit(self.latest.newest[0]).pixels, 95)


def encode_jpeg(pixels: Any, quality: int) -> bytes:
    """Return BGR pixels as a JPEG file's bytes."""
    cv2 = opencv.load("encoding a picture")
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def _median_ms(costs: deque[int]) -> float | None:
    return round(median(costs) / 1e6, 3) if costs else None


def _seen(frame: Frame, result: Result) -> dict[str, Any]:
    """Return what a page writes beside the picture."""
    height, width = frame.pixels.shape[:2]
    seen: dict[str, Any] = {"frame": result.index, "name": result.name, "size": [width, height]}
    if result.boxes is not None:
        seen["boxes"] = [[one.label.short, round(one.score, 4)] for one in result.boxes]
    elif result.mask is not None:
        seen["shares"] = [[label.short, round(share, 4)] for label, share in result.mask.shares]
    else:
        seen["top"] = [[one.label.short, round(one.score, 4)] for one in result.top]
    return seen


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
