"""What blocks, done for asyncio in the threads of its loop."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any, Dict, Tuple, TypeVar, Union

from ._errors import NoFreePort
from ._native import PortRegistry, Reservation
from ._several import Reservations

Reserved = Union[Reservation, Reservations]
AnyReserved = TypeVar("AnyReserved", Reservation, Reservations)

# Seconds between two tries for a port that is waited for.
_SHORTEST, _LONGEST = 0.005, 0.2


async def reserve(
    registry: PortRegistry, args: Tuple[Any, ...], options: Dict[str, Any], wait: float
) -> Reserved:
    """Reserves, waiting between tries that do not wait."""
    deadline = time.monotonic() + wait
    pause = _SHORTEST
    while True:
        try:
            return await _attempt(functools.partial(registry.reserve, *args, **options))
        except NoFreePort:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
        await asyncio.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST)


async def enter(reserved: AnyReserved) -> AnyReserved:
    return reserved


async def leave(reserved: Reserved) -> None:
    """Releases, to its end even if it is cancelled."""
    loop = asyncio.get_running_loop()
    await asyncio.shield(loop.run_in_executor(None, reserved.release))


async def _attempt(reserve: functools.partial[Reserved]) -> Reserved:
    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(None, reserve)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        # A thread can't be stopped. What it brings is wanted by nobody.
        future.add_done_callback(_give_back)
        raise


def _give_back(future: asyncio.Future[Reserved]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().release()
