"""A signal ends a process once, and what stood before is put back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from mora.serving.process import AskedToEnd, deadline, ended_by_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_once_and_later_ones_do_not_interrupt_the_shutdown(number: signal.Signals) -> None:
    before, calls = signal.getsignal(number), []

    def run() -> None:
        with ended_by_signals(also=lambda: calls.append("also")):
            try:
                os.kill(os.getpid(), number)
                signal.pause()  # pragma: no cover  # the signal has come already
            finally:
                os.kill(os.getpid(), number)

    with pytest.raises(AskedToEnd, match=number.name):
        run()
    assert calls == ["also"]
    assert signal.getsignal(number) is before


def test_a_deadline_can_begin_in_a_handler_that_interrupts_the_start_of_a_thread() -> None:
    acted = threading.Event()
    begin = deadline(0.0, acted.set)
    with threading._active_limbo_lock:  # type: ignore[attr-defined]  # what Thread.start() holds: a Timer would hang here
        begin()
    assert acted.wait(60)


def test_a_deadline_that_does_not_begin_does_nothing() -> None:
    acted = threading.Event()
    deadline(0.0, acted.set)
    assert not acted.is_set()
