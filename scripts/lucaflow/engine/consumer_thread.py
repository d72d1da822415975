"""Write results in a second thread while the next ones are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items that may wait for the consumer. More would need memory, and would gain nothing where writing is slower.
_MOST_WAITING = 1
_SECONDS_BETWEEN_CHECKS = 0.5


class Abandoned(Exception):
    """Raised in the consumer when no more items come, because computing them failed."""


class _End:
    """Marks the end of the items in the queue."""


def consume_in_background(consume: Callable[[Iterator[Item]], Result], items: Iterable[Item]) -> Result:
    """Compute `items` in this thread and call `consume` with them in a second thread; return the result of `consume`.

    If one side fails, the other one ends too, and the exception is raised. If both fail, the exception of `items` is
    raised. `consume` must read all items.
    """
    waiting: Queue[Item | _End] = Queue(_MOST_WAITING)
    abandoned = Event()

    def received() -> Iterator[Item]:
        while True:
            try:
                item = waiting.get(timeout=_SECONDS_BETWEEN_CHECKS)
            except Empty:
                if abandoned.is_set():
                    raise Abandoned from None
                continue
            if isinstance(item, _End):
                return
            yield item

    with ThreadPoolExecutor(1, thread_name_prefix="writer") as pool:
        future = pool.submit(consume, received())
        try:
            for item in items:
                if not _put(waiting, item, future):
                    break
            else:
                _put(waiting, _End(), future)
        except BaseException:
            # Do not wait for anything here, so that an interrupt (or a second one) ends both threads.
            abandoned.set()
            raise
        return future.result()


def _put(waiting: Queue[Item | _End], item: Item | _End, consumer: Future[Result]) -> bool:
    """Put an item into the queue; return False if the consumer has ended and reads no more."""
    while not consumer.done():
        try:
            waiting.put(item, timeout=_SECONDS_BETWEEN_CHECKS)
        except Full:
            continue
        return True
    return False
