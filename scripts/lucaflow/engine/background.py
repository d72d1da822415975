"""Two things at once: results are written while the next ones are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Batches that wait to be written. More would take memory and, where writing is slower, gain nothing.
_WAITING = 1
_SECONDS_BETWEEN_LOOKS = 0.5


class Abandoned(Exception):
    """What a consumer sees when no more items come because making them failed."""


class _End:
    """Follows the last item."""


def consume_in_background(consume: Callable[[Iterator[Item]], Result], items: Iterable[Item]) -> Result:
    """Make items here, and have a second thread consume them, a few behind; return what `consume` returns.

    Whichever fails ends the other, and its exception is raised: that of `items` first. `consume` must take all items.
    """
    waiting: Queue[Item | _End] = Queue(_WAITING)
    abandoned = Event()

    def received() -> Iterator[Item]:
        while True:
            try:
                item = waiting.get(timeout=_SECONDS_BETWEEN_LOOKS)
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
            # Nothing may wait here, so that an interrupt, or a second one, ends both threads.
            abandoned.set()
            raise
        return future.result()


def _put(waiting: Queue[Item | _End], item: Item | _End, consumer: Future[Result]) -> bool:
    """Hand an item over, and say whether the consumer still takes any."""
    while not consumer.done():
        try:
            waiting.put(item, timeout=_SECONDS_BETWEEN_LOOKS)
        except Full:
            continue
        return True
    return False
