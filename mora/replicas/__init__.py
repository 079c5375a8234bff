"""How many pods a workload needs by its own past: what an autoscaler is set to, and a schedule that knows the day.

`simulate` runs an HPA or KEDA on a recorded demand, `schedule` learns the fewest pods of each hour, `choice` takes the
setting that costs least and is short of pods no more often than the HPA at 70 % that everybody has. Pure: arrays in,
settings out. A demand is in pods: what is used in all over what one pod carries.
"""

from mora.replicas.choice import Choice, Part, choose
from mora.replicas.schedule import floors_of, levels
from mora.replicas.simulate import PLAIN, Run, Scaler, Setting, simulate

__all__ = ["PLAIN", "Choice", "Part", "Run", "Scaler", "Setting", "choose", "floors_of", "levels", "simulate"]
