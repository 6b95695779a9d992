"""Reserving in an event loop."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable

import pytest
from portkeeper import NoFreePort, PortRegistry, Reservation, Reservations


def run(test: Callable[[], Awaitable[Any]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(limited())


def test_async_with(registry: PortRegistry) -> None:
    async def test() -> None:
        async with await registry.areserve(hold=True) as r:
            assert isinstance(r, Reservation) and r.held
        assert not r.held
        async with registry.reserve(hold=True) as r:
            assert r.held
        async with await registry.areserve((28400, 28410), count=2) as both:
            assert isinstance(both, Reservations) and len(registry.status()) == 2
        assert registry.status() == []

    run(test)


def test_the_loop_goes_on_while_it_waits(registry: PortRegistry) -> None:
    async def test() -> None:
        held = registry.reserve(hold=True)
        waiting = asyncio.create_task(
            registry.areserve(preferred=held.port, strict=True, wait=30)
        )
        await asyncio.sleep(0.05)
        assert not waiting.done()
        held.release()
        async with await waiting as r:
            assert r.port == held.port
        with registry.reserve(hold=True) as taken, pytest.raises(NoFreePort):
            await registry.areserve(preferred=taken.port, strict=True, wait=0.1)

    run(test)


def test_nothing_stays_when_it_is_cancelled(registry: PortRegistry) -> None:
    async def test() -> None:
        async def reserve() -> None:
            await registry.areserve(hold=True)

        for ticks in range(8):
            task = asyncio.create_task(reserve())
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task])
            if not task.cancelled():
                # It was done before.
                for entry in registry.status():
                    assert entry.port is not None
                    registry.release(entry.port)

    run(test)
    # The loop's threads have ended, and what they brought with them.
    assert registry.status() == []


def test_many_at_once(registry: PortRegistry) -> None:
    async def test() -> None:
        made = await asyncio.gather(*(registry.areserve() for _ in range(40)))
        assert len({r.port for r in made}) == 40
        for r in made:
            async with r:
                pass
        assert registry.status() == []

    run(test)
