"""The use-cases, one file each: collect, train, recommend, backtest, render.

The command line and the Python API both come through here. Every step starts from files and ends in files or in a
value that can be printed, so each can be run again alone. From Python, in a folder with data/:

    >>> import mora, tempfile
    >>> sorted(mora.read_dataset("frontend")["scenario"].unique())
    ['browsing', 'checkout']
    >>> models = tempfile.TemporaryDirectory()
    >>> model = mora.train("frontend", models_dir=models.name)
    >>> sorted(model.report["next_steps"])
    ['cpu', 'memory', 'replicas']
    >>> advice = mora.recommend("frontend", users=35, scenario="checkout", models_dir=models.name)
    >>> advice.load.users, advice.main.container, [reason.code for reason in advice.main.memory_request.reasons][:2]
    (35, 'server', ['point-forecast', 'bound'])
    >>> print(mora.render(advice, "patch"))
    # Deployment default/frontend, container server: recommended by MOrA for 35 users of checkout, ...
    # ...
    spec:
      replicas: ...
      template:
        spec:
          containers:
            - name: server
              resources:
                requests:
                  cpu: ...m
                  memory: ...Mi
                limits:
                  cpu: null
                  memory: ...Mi
    <BLANKLINE>
    >>> models.cleanup()
"""

from __future__ import annotations

from mora.model.catalogue import DEFAULT_NAMESPACE, list_models, load_model, model_folder
from mora.model.freshness import STALE_AFTER, check_fresh, measured_allocation
from mora.pipeline.backtesting import backtest, cache_folder, write_report
from mora.pipeline.capacity import read_capacities, write_capacity_page
from mora.pipeline.chaos import judge_chaos, run_chaos
from mora.pipeline.collecting import Place, await_quiet, collect, open_cluster, sandbox_place, sandbox_preview
from mora.pipeline.comparing import compare_detectors, write_comparison
from mora.pipeline.connecting import access_of, open_fleet, open_prometheus, open_source
from mora.pipeline.contesting import ContestResult, compare_forecasters, write_artifacts, write_contest
from mora.pipeline.explaining import describe_contributions, explain_forecasts, write_contributions
from mora.pipeline.fleet import find_workload_states, recommend_fleet, recommend_fleet_on_cluster
from mora.pipeline.modelled import question_of, recommend, trained_demand
from mora.pipeline.recommending import Advised, Request, recommend_workloads
from mora.pipeline.rendering import render, write_output
from mora.pipeline.repository import Changed, Repository, change_repository
from mora.pipeline.reviewing import Branch, edited_in, review_branch
from mora.pipeline.settings import fleet_settings, train_settings
from mora.pipeline.several import for_each, recommend_in_clusters
from mora.pipeline.training import Lesson, Trained, describe_training, learn, read_lesson, train, train_all
from mora.pipeline.tuning import tune
from mora.pipeline.windows import fleet_window, history_window

__all__ = [
    "DEFAULT_NAMESPACE",
    "STALE_AFTER",
    "Advised",
    "Branch",
    "Changed",
    "ContestResult",
    "Lesson",
    "Place",
    "Repository",
    "Request",
    "Trained",
    "access_of",
    "await_quiet",
    "backtest",
    "cache_folder",
    "change_repository",
    "check_fresh",
    "collect",
    "compare_detectors",
    "compare_forecasters",
    "describe_contributions",
    "describe_training",
    "edited_in",
    "explain_forecasts",
    "find_workload_states",
    "fleet_settings",
    "fleet_window",
    "for_each",
    "history_window",
    "judge_chaos",
    "learn",
    "list_models",
    "load_model",
    "measured_allocation",
    "model_folder",
    "open_cluster",
    "open_fleet",
    "open_prometheus",
    "open_source",
    "question_of",
    "read_capacities",
    "read_lesson",
    "recommend",
    "recommend_fleet",
    "recommend_fleet_on_cluster",
    "recommend_in_clusters",
    "recommend_workloads",
    "render",
    "review_branch",
    "run_chaos",
    "sandbox_place",
    "sandbox_preview",
    "train",
    "train_all",
    "train_settings",
    "trained_demand",
    "tune",
    "write_artifacts",
    "write_capacity_page",
    "write_comparison",
    "write_contest",
    "write_contributions",
    "write_output",
    "write_report",
]
