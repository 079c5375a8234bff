"""A signal ends a process once, and what stood before is put back."""

from __future__ import annotations

import os
import signal

import pytest

from mora.serving.process import AskedToEnd, ended_by_signals


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
