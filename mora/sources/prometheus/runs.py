"""How many runs a job has had: parallel pods of one run are one, and a try that failed is none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mora.sources.prometheus.ownership import Pod


def count_runs(
    pods: Iterable[Pod], runs: Mapping[Pod, str], failed: Collection[Pod], killed: Collection[Pod]
) -> tuple[int, int]:
    """How many runs some pods belong to, and how many of the pods failed.

    runs: pod -> the name of its run; a pod without one is a run of its own. killed: pods that were OOM-killed. These
    show how much a run needs at least, so they count though they failed; others end early, and show nothing.

    >>> of = {("shop", "a-1"): "a", ("shop", "a-2"): "a", ("shop", "b-1"): "b"}
    >>> count_runs(of, of, failed={("shop", "b-1")}, killed=())
    (1, 1)
    """
    known = set(pods)
    lost = {pod for pod in known if pod in failed and pod not in killed}
    return len({(pod[0], runs.get(pod, pod[1])) for pod in known - lost}), len(lost)
