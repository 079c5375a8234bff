"""One recommender as a process of its own: a kubeconfig, a name, lease seconds; advice is always 180m and 230 MiB.

Everything but the numbers is what `mora vpa-recommender` runs: the real client, election, endpoints and signals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from mora.clusters.lease import KubernetesLease
from mora.clusters.vpa import KubernetesVpas
from mora.domain import Recommendation, Workload
from mora.serving.lease import Terms
from mora.serving.logs import log_line
from mora.vpa.advice import Adviser
from mora.vpa.service import ServiceSettings, serve
from tests.vpa.making import recommendation


def advise(workloads: Sequence[Workload]) -> Iterable[Recommendation]:
    return [recommendation(workload=one) for one in workloads]


def log(level: str, message: str, **about: object) -> None:
    print(log_line(level, message, about, now=datetime.now(UTC)), file=sys.stderr, flush=True)


def main(kubeconfig: str, identity: str, lease_seconds: str) -> None:
    lasts = float(lease_seconds)
    terms = Terms(timedelta(seconds=lasts), timedelta(seconds=lasts * 0.7), timedelta(seconds=0.2))
    serve(
        KubernetesVpas(kubeconfig=kubeconfig),
        Adviser(advise, refresh=timedelta(minutes=15)),
        ServiceSettings(interval=timedelta(seconds=0.2), listen=("127.0.0.1", 0), terms=terms),
        log=log,
        leases=KubernetesLease(
            "mora", "mora-recommender", kubeconfig=kubeconfig, request_timeout=timedelta(seconds=60)
        ),
        identity=identity,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
