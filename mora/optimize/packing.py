"""Whether pods fit on nodes: first-fit decreasing, by the larger of the two shares a pod takes of the largest node."""

from __future__ import annotations

from collections.abc import Sequence

from mora.optimize.problem import Node, Option


def fits(chosen: Sequence[Option], nodes: Sequence[Node]) -> bool:
    """Whether first-fit decreasing places every pod; True where no nodes are known.

    It may miss a packing that exists, and never claims one that does not: nothing is recommended that was not placed.

    >>> pod = Option(3, 600, 0, 1.0, (), ())
    >>> fits([pod], [Node(1000, 1), Node(1000, 1)]), fits([pod], [Node(1200, 1), Node(1000, 1)])
    (False, True)
    """
    if not nodes:
        return True
    cores = max(max(node.millicores for node in nodes), 1)
    memory = max(max(node.memory_bytes for node in nodes), 1)
    pods = [(option.millicores, option.memory_bytes) for option in chosen for _ in range(option.replicas)]
    pods.sort(key=lambda pod: (max(pod[0] / cores, pod[1] / memory), pod), reverse=True)
    left = [[node.millicores, node.memory_bytes] for node in nodes]
    for millicores, memory_bytes in pods:
        home = next((one for one in left if one[0] >= millicores and one[1] >= memory_bytes), None)
        if home is None:
            return False
        home[0] -= millicores
        home[1] -= memory_bytes
    return True
