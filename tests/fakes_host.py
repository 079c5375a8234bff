"""A host whose windows are contended as a test says."""

from __future__ import annotations

from mora.domain import Window
from mora.harness.host import HostUse


class FakeHost:
    """Machines of which a hypervisor takes half in the windows whose numbers (from 1) are named; or with a use."""

    def __init__(self, *contended: int, use: HostUse | None = None) -> None:
        self.contended, self.windows, self.always = contended, 0, use

    def watch(self) -> FakeHost:
        self.windows += 1
        return self

    def tick(self) -> None:
        return None

    def end(self) -> None:
        return None

    def use(self, window: Window) -> HostUse:
        if self.always is not None:
            return self.always
        return HostUse(cores=2, steal_cores=1.0 if self.windows in self.contended else 0.0)
