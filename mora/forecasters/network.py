"""The LSTM's forward pass in numpy: no TensorFlow is needed to predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mora.domain import Target
from mora.domain.learning import Floats
from mora.features import MinMaxScaler
from mora.networks.layers import lstm


@dataclass(frozen=True, slots=True)
class Network:
    """Fitted weights and scalers, and the forward pass.

    columns: inputs, in order. weights: name -> array, in Keras' layout (gates i, f, c, o). deviations: root mean square
    of validation steps around the forecast mean, per target, in its unit.
    """

    columns: tuple[str, ...]
    targets: tuple[Target, ...]
    inputs: MinMaxScaler
    changes: MinMaxScaler
    weights: Mapping[str, Floats]
    deviations: Floats

    def predict(self, windows: Floats, levels: Floats) -> Floats:
        """Mean and high level of the coming horizon, shape (n, targets, 2), in plain units, never below 0.

        windows: shape (n, window, columns), plain units; levels: the windows' mean per target, shape (n, targets).
        """
        raw = self.forward(self.inputs.scale(windows))
        change = self.changes.restore(raw).reshape(len(windows), len(self.targets), 2)
        found = np.maximum(levels[:, :, None] + change, 0.0)
        # The high level of steps is not below their mean.
        found[:, :, 1] = np.maximum(found[:, :, 1], found[:, :, 0])
        return found

    def forward(self, scaled: Floats) -> Floats:
        """The network on scaled windows, shape (n, window, columns) -> (n, targets * 2); dropout is identity."""
        w = self.weights
        sequence = lstm(scaled, w["first_kernel"], w["first_recurrent"], w["first_bias"])
        last = lstm(sequence, w["second_kernel"], w["second_recurrent"], w["second_bias"])[:, -1]
        heads = []
        for target in self.targets:
            hidden = np.maximum(last @ w[f"{target.value}_hidden_kernel"] + w[f"{target.value}_hidden_bias"], 0.0)
            heads.append(hidden @ w[f"{target.value}_kernel"] + w[f"{target.value}_bias"])
        return np.concatenate(heads, axis=1)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Everything as named arrays of numbers and fixed-width text, for `numpy.savez` without pickle."""
        return {
            "columns": np.array(self.columns),
            "targets": np.array([target.value for target in self.targets]),
            "inputs_low": self.inputs.low,
            "inputs_span": self.inputs.span,
            "changes_low": self.changes.low,
            "changes_span": self.changes.span,
            "deviations": self.deviations,
            # Weights were trained in single precision: kept so, and computed with in double.
            **{f"weight_{name}": value.astype(np.float32) for name, value in self.weights.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Network:
        """The network that arrays() gave; ValueError where their sizes do not fit one another."""
        weights = {
            name.removeprefix("weight_"): np.asarray(value, dtype=np.float64)
            for name, value in arrays.items()
            if name.startswith("weight_")
        }
        found = cls(
            columns=tuple(str(name) for name in arrays["columns"].tolist()),
            targets=tuple(Target(str(name)) for name in arrays["targets"].tolist()),
            inputs=MinMaxScaler(arrays["inputs_low"], arrays["inputs_span"]),
            changes=MinMaxScaler(arrays["changes_low"], arrays["changes_span"]),
            weights=weights,
            deviations=arrays["deviations"],
        )
        found._check_sizes()
        return found

    def _check_sizes(self) -> None:
        w, outputs = self.weights, 2 * len(self.targets)
        first, second = w["first_recurrent"].shape[0], w["second_recurrent"].shape[0]
        needed = {"first_recurrent": (first, 4 * first), "first_bias": (4 * first,)}
        needed |= {"second_kernel": (first, 4 * second), "second_recurrent": (second, 4 * second)}
        needed |= {"second_bias": (4 * second,)}
        # Inputs of a horizon are more than its columns (lags), so their number is the kernel's own.
        inputs = w["first_kernel"].shape[0]
        needed |= {"first_kernel": (inputs, 4 * first)}
        for target in self.targets:
            name = target.value
            hidden = w[f"{name}_hidden_bias"].shape[0]
            needed |= {f"{name}_hidden_kernel": (second, hidden), f"{name}_hidden_bias": (hidden,)}
            needed |= {f"{name}_kernel": (hidden, 2), f"{name}_bias": (2,)}
        wrong = [name for name, shape in needed.items() if w[name].shape != shape]
        others = {
            "inputs_low": (self.inputs.low, (inputs,)),
            "inputs_span": (self.inputs.span, (inputs,)),
            "changes_low": (self.changes.low, (outputs,)),
            "changes_span": (self.changes.span, (outputs,)),
            "deviations": (self.deviations, (len(self.targets),)),
        }
        wrong += [
            name for name, (array, shape) in others.items() if array.shape != shape or array.dtype.kind not in "fiu"
        ]
        if wrong:
            raise ValueError(f"the sizes of {', '.join(wrong)} do not fit the network")
