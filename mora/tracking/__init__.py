"""Where trainings are also written down beside their card: a Tracker, and MLflow as one (mlflow_store.py)."""

from mora.tracking.run import Tracker, TrainingRun, run_of

__all__ = ["Tracker", "TrainingRun", "run_of"]
