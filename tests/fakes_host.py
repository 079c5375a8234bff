"""A host whose windows are contended as a test says."""

from __future__ import annotations

from mora.domain import Window
from mora.harness.host import HostUse


class FakeHost:
    """Machines of which a hypervisor takes half in the windows whose numbers (from 1) are named."""

    def __init__(self, *contended: int) -> None:
        self.contended, self.windows = contended, 0

    def watch(self) -> FakeHost:
        self.windows += 1
        return self

    def tick(self) -> None:
        return None

    def end(self) -> None:
        return None

    def use(self, window: Window) -> HostUse:
        return HostUse(cores=2, steal_cores=1.0 if self.windows in self.contended else 0.0)
