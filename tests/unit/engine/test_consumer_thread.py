"""Items are consumed in a second thread; whichever side fails, the failure is seen and nothing hangs."""

import threading
import time

import pytest

from lucaflow.engine.consumer_thread import Abandoned, consume_in_background


def test_items_arrive_in_order_in_another_thread():
    seen = []

    def consume(items):
        seen.extend((item, threading.current_thread()) for item in items)
        return len(seen)

    assert consume_in_background(consume, range(100)) == 100
    assert [item for item, _ in seen] == list(range(100))
    assert all(thread is not threading.current_thread() for _, thread in seen)


def test_making_and_consuming_overlap():
    """Each item is made while the one before is still being consumed: neither side waits for the other to end."""
    made, may_end = [threading.Event() for _ in range(3)], threading.Event()

    def items():
        for number, event in enumerate(made):
            event.set()
            yield number

    def consume(received):
        next(received)
        assert made[1].wait(10)
        assert made[2].wait(10)
        may_end.set()
        return [0, *received]

    assert consume_in_background(consume, items()) == [0, 1, 2]
    assert may_end.is_set()


def test_a_few_items_wait_and_no_more():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    def consume(received):
        for item in received:
            time.sleep(0.001)
            assert len(made) - item <= 5

    consume_in_background(consume, items())
    assert len(made) == 50


def test_a_consumer_that_fails_stops_the_making():
    made = []

    def items():
        for number in range(10_000):
            made.append(number)
            yield number

    def consume(received):
        next(received)
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        consume_in_background(consume, items())
    assert len(made) < 100


def test_a_failure_of_the_making_is_raised_and_ends_the_consumer():
    ended = []

    def items():
        yield 1
        raise ValueError("broken")

    def consume(received):
        try:
            return list(received)
        except Abandoned:
            ended.append(True)
            raise

    with pytest.raises(ValueError, match="broken"):
        consume_in_background(consume, items())
    assert ended == [True]


def test_an_interrupt_ends_both_sides_although_the_queue_is_full():
    """As Ctrl-C, pressed twice, while the consumer is slow."""
    ended = []

    def items():
        yield from range(3)
        raise KeyboardInterrupt

    def consume(received):
        try:
            for _ in received:
                time.sleep(0.2)
        except Abandoned:
            ended.append(True)
            raise

    with pytest.raises(KeyboardInterrupt):
        consume_in_background(consume, items())
    assert ended == [True]
