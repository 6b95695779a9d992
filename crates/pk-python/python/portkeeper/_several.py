"""Several reservations that were made together."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import List, Optional, Type

    from ._native import Reservation

    _List = List[Reservation]
else:
    _List = list


class Reservations(_List):
    """A list of reservations that is a context manager: when it ends, all of them do."""

    def release(self) -> None:
        """Ends them all, also where one fails; then raises what the first failure was."""
        failed: Optional[Exception] = None
        for reservation in self:
            try:
                reservation.release()
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def __enter__(self) -> Reservations:
        return self

    def __exit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        tb: Optional[TracebackType],
    ) -> None:
        self.release()

    async def __aenter__(self) -> Reservations:
        return self

    async def __aexit__(
        self,
        exc_type: Optional[Type[BaseException]],
        exc: Optional[BaseException],
        tb: Optional[TracebackType],
    ) -> None:
        from ._aio import leave

        await leave(self)


Reservations.__module__ = "portkeeper"
