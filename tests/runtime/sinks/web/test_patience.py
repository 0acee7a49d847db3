"""What is waited for comes, or the wait ends; and no cancellation is ever lost."""

from __future__ import annotations

import asyncio

import pytest

from mejiro_runtime.sinks.web.patience import within


async def turns(count: int) -> int:
    for _ in range(count):
        await asyncio.sleep(0)
    return count


def test_what_comes_in_time_is_given() -> None:
    assert asyncio.run(within(30, turns(3))) == 3


def test_what_fails_fails() -> None:
    async def fail() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        asyncio.run(within(30, fail()))


def test_what_takes_longer_is_ended() -> None:
    ended = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(within(0.01, forever()))
    assert ended == [True]


@pytest.mark.parametrize("offset", range(8))
def test_a_cancellation_counts_whenever_it_comes(offset: int) -> None:
    async def run() -> bool:
        reached = []

        async def wait() -> None:
            await within(30, turns(3))
            await asyncio.Event().wait()  # where a lost cancellation would leave it
            reached.append(True)

        task = asyncio.ensure_future(wait())
        await turns(offset)
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=5)
        cancelled = task in done and task.cancelled()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return cancelled and not reached

    assert asyncio.run(run())
