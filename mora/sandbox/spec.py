"""The services of the shop, with requests and limits that are wrong on purpose.

As in most clusters, nearly all are round numbers that somebody once guessed. One is too small: the kernel kills
cartservice when many users fill their carts on a single replica.
"""

from __future__ import annotations

from dataclasses import dataclass

from mora.domain import Resources
from mora.quantities import MIB

NAMESPACE = "default"
CONTAINER = "server"
ENTRY_SERVICE = "frontend"
IMAGE_VERSION = "v0.1.0"


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service of the shop, with the requests and limits that it ships with."""

    name: str
    resources: Resources

    @property
    def image(self) -> str:
        """The name of its image, as a Deployment would have it."""
        return f"mora-sandbox/{self.name}:{IMAGE_VERSION}"


def _spec(name: str, cpu: tuple[int, int], memory_mib: tuple[int, int]) -> ServiceSpec:
    (cpu_request, cpu_limit), (memory_request, memory_limit) = cpu, memory_mib
    return ServiceSpec(name, Resources(cpu_request, cpu_limit, memory_request * MIB, memory_limit * MIB))


SERVICES: tuple[ServiceSpec, ...] = (
    _spec("frontend", cpu=(100, 180), memory_mib=(512, 512)),
    _spec("productcatalogservice", cpu=(200, 300), memory_mib=(256, 256)),
    _spec("cartservice", cpu=(100, 200), memory_mib=(32, 56)),
    _spec("checkoutservice", cpu=(300, 300), memory_mib=(256, 256)),
    _spec("paymentservice", cpu=(500, 500), memory_mib=(128, 128)),
)
