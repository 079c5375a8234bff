"""Past one machine, shown on this one: services trained here and by two workers of a Dask cluster; a fleet sharded.

The two workers are processes on loopback, one thread each, so on two cores nothing can be gained over two processes of
joblib's own: what is measured is what the road over the cluster costs. The models must be the same to the last bit, the
numbers of the fleet too. The fleet lies in a real Prometheus; each worker reads and sizes whole namespaces.

    python experiments/benchmarks/scale_out.py [SERVICES] [WORKLOADS]      (6 and 500)
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from mora import dataset, pipeline  # noqa: E402
from mora.domain import Recommendation, Window  # noqa: E402
from mora.model import ServiceModel  # noqa: E402
from mora.settings import PrometheusSettings, Settings  # noqa: E402
from tests.fakes_learning import driven  # noqa: E402
from tests.fleet.many import write_fleet  # noqa: E402
from tests.scaleout.rig import Rig, rig  # noqa: E402
from tests.sources.rig import serve  # noqa: E402

FLEET_DAYS = 2.0


def main(services: int = 6, workloads: int = 500) -> int:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "dask").mkdir()
        with rig(home / "dask", workers=2) as cluster:
            are_same = [compare_training(home, cluster, services), compare_fleet(home, cluster, workloads)]
    return 0 if all(are_same) else 1


def compare_training(home: Path, cluster: Rig, services: int) -> bool:
    names = [f"service-{number:02d}" for number in range(services)]
    for seed, name in enumerate(names):
        write_service(home / "data", name, seed)
    places: dict[str, dict[str, Any]] = {
        "two processes here": {"jobs": 2},
        "two Dask workers": {"scheduler": cluster.address},
    }
    digests, seconds = {}, {}
    for place, options in places.items():
        models = home / place
        seconds[place], trained = timed(
            lambda models=models, options=options: pipeline.train_all(
                names, data_dir=home / "data", models_dir=models, **options
            )
        )
        assert all(one.model is not None for one in trained), [one.error for one in trained]
        digests[place] = [ServiceModel.load(models / name).digest for name in names]
    return told(f"{services} services trained", seconds, *digests.values())


def compare_fleet(home: Path, cluster: Rig, workloads: int) -> bool:
    (home / "tsdb").mkdir()
    start = datetime.fromtimestamp(time.time() // 300 * 300, UTC) - timedelta(days=FLEET_DAYS)
    # Written on into the coming hour: what stands is what was scraped lately, and the writing takes its time, too.
    write_fleet(workloads, start.timestamp(), FLEET_DAYS + 1 / 24, home / "tsdb")
    window = Window(start, start + timedelta(days=FLEET_DAYS), timedelta(minutes=5))
    with serve(home / "tsdb") as url:
        settings = Settings(prometheus=PrometheusSettings(url))
        source = pipeline.open_fleet(settings)
        states = pipeline.find_workload_states(source, namespace=None, kubernetes=False)
        here, there = "one process here", "two Dask workers"
        seconds, numbers = {}, {}
        seconds[here], numbers[here] = timed(lambda: list(pipeline.recommend_fleet(states, source, window)))
        seconds[there], numbers[there] = timed(
            lambda: list(pipeline.recommend_fleet_on_cluster(states, settings, window, cluster.address))
        )
    namespaces = len({state.workload.namespace for state in states})
    title = f"{len(states)} workloads in {namespaces} namespaces sized, {FLEET_DAYS:g} days"
    return told(title, seconds, *(sorted(map(as_text, advice)) for advice in numbers.values()))


def write_service(data_dir: Path, name: str, seed: int) -> None:
    """Two dozen synthetic experiments of a service."""
    frame, cards = driven(repeats=2, seed=seed)
    for old, rows in frame.groupby("experiment_id"):
        own = str(old).replace("frontend", name)
        card = {**cards[str(old)], "experiment_id": own, "service": name}
        dataset.write_experiment(data_dir, rows.reset_index(drop=True).assign(experiment_id=own, service=name), card)


def as_text(advice: Recommendation) -> str:
    """A recommendation without the queries it rests on, which name the namespaces that were asked for at once."""
    (said,) = json.loads(pipeline.render(advice, "json"))["recommendations"]
    for part in (said, *said["containers"]):
        part["evidence"].pop("queries")
    return json.dumps(said, sort_keys=True)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def told(title: str, seconds: dict[str, float], first: Any, second: Any) -> bool:
    print(title)
    reference = next(iter(seconds.values()))
    for place, taken in seconds.items():
        print(f"  {place:<20}{taken:7.1f} s   {taken / reference:5.2f} x")
    print(f"  results are {'the same' if first == second else 'NOT THE SAME'}\n")
    return bool(first == second)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
