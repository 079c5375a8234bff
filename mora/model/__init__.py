"""What train() returns and how it is kept: ServiceModel, its settings, its folder."""

from mora.model.calibration import Calibration
from mora.model.service import ServiceModel, train
from mora.model.settings import TrainSettings

__all__ = ["Calibration", "ServiceModel", "TrainSettings", "train"]
