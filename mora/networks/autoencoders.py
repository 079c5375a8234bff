"""Autoencoders in numpy: a network that gives back what it is given, as far as it looks like what it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mora.domain.learning import Floats
from mora.errors import BadInput
from mora.networks.layers import LstmStack

# Windows that are computed together: what they take of memory stays bounded.
_AT_ONCE = 256
_MOST_UNITS = 1024


class LstmNetwork:
    """An LSTM autoencoder of windows: layers down to a vector, repeated for each step, and layers up again.

    units: of the layers down; those up are the same reversed. inputs: of one step.
    """

    def __init__(self, weights: Mapping[str, np.ndarray[Any, Any]], units: Sequence[int], inputs: int) -> None:
        """Raises ValueError where a weight is missing, of another shape or not finite."""
        self.weights = _checked(weights, lstm_shapes(units, inputs))
        names = lstm_layers(units)

        def stack(of: Sequence[str]) -> LstmStack:
            w = self.weights
            return LstmStack([(w[f"{n}_kernel"], w[f"{n}_recurrent"], w[f"{n}_bias"]) for n in of])

        self._down, self._up = stack(names[: len(units)]), stack(names[len(units) : -1])

    def forward(self, windows: Floats) -> Floats:
        """What it makes of windows, shape (n, window, inputs) -> the same."""
        out = np.empty(windows.shape)
        for start in range(0, len(windows), _AT_ONCE):
            piece = windows[start : start + _AT_ONCE]
            states = self._up.repeat(self._down.forward(piece)[:, -1], piece.shape[1])
            out[start : start + _AT_ONCE] = states @ self.weights["output_kernel"] + self.weights["output_bias"]
        return out


class DenseNetwork:
    """A dense autoencoder of rows: layers down to the smallest and up again, relu between them."""

    def __init__(self, weights: Mapping[str, np.ndarray[Any, Any]], units: Sequence[int], inputs: int) -> None:
        """Raises ValueError where a weight is missing, of another shape or not finite."""
        self.weights = _checked(weights, dense_shapes(units, inputs))
        self._names = dense_layers(units)

    def forward(self, rows: Floats) -> Floats:
        """What it makes of rows, shape (n, inputs) -> the same."""
        flow = rows
        for name in self._names[:-1]:
            flow = np.maximum(flow @ self.weights[f"{name}_kernel"] + self.weights[f"{name}_bias"], 0.0)
        out: Floats = flow @ self.weights["output_kernel"] + self.weights["output_bias"]
        return out


def lstm_layers(units: Sequence[int]) -> tuple[str, ...]:
    """The names of the layers: down to the smallest, up again, and the output.

    >>> lstm_layers((64, 32))
    ('encoder_64', 'encoder_32', 'decoder_32', 'decoder_64', 'output')
    """
    return (*(f"encoder_{n}" for n in units), *(f"decoder_{n}" for n in reversed(units)), "output")


def dense_layers(units: Sequence[int]) -> tuple[str, ...]:
    """The names of the layers: down to the smallest and up again.

    >>> dense_layers((16, 8))
    ('encoder_16', 'encoder_8', 'decoder_16', 'output')
    """
    return (*(f"encoder_{n}" for n in units), *(f"decoder_{n}" for n in units[-2::-1]), "output")


def lstm_shapes(units: Sequence[int], inputs: int) -> dict[str, tuple[int, ...]]:
    """The shape of each weight, by name."""
    names, sizes = lstm_layers(units), (*units, *reversed(units))
    shapes: dict[str, tuple[int, ...]] = {}
    before = inputs
    for number, (name, size) in enumerate(zip(names, sizes, strict=False)):
        # The first layer up is given what the last one down leaves, of the same size.
        given = units[-1] if number == len(units) else before
        shapes |= {f"{name}_kernel": (given, 4 * size), f"{name}_recurrent": (size, 4 * size)}
        shapes |= {f"{name}_bias": (4 * size,)}
        before = size
    return shapes | {"output_kernel": (before, inputs), "output_bias": (inputs,)}


def dense_shapes(units: Sequence[int], inputs: int) -> dict[str, tuple[int, ...]]:
    """The shape of each weight, by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    before = inputs
    for name, size in zip(dense_layers(units), (*units, *units[-2::-1], inputs), strict=True):
        shapes |= {f"{name}_kernel": (before, size), f"{name}_bias": (size,)}
        before = size
    return shapes


def read_units(units: Sequence[int] | str | int) -> tuple[int, ...]:
    """The sizes of the layers down, as a person gives them. Raises BadInput.

    >>> read_units("64,32,16"), read_units("64/32")  # a comma would end the name in a list of detectors
    ((64, 32, 16), (64, 32))
    """
    try:
        if isinstance(units, str):
            units = [int(part) for part in units.replace("/", ",").split(",")]
        return checked_units([units] if isinstance(units, int) else units)
    except ValueError as wrong:
        raise BadInput(
            f"A network cannot have the layers {units!r}.", hint="Give sizes that shrink: 64,32,16."
        ) from wrong


def checked_units(units: Sequence[Any]) -> tuple[int, ...]:
    """The sizes of the layers down; ValueError where they are no whole numbers, each smaller than the one before."""
    sizes = tuple(units)
    if not sizes or any(type(n) is not int or not 1 <= n <= _MOST_UNITS for n in sizes):
        raise ValueError(f"the layers {list(sizes)}: each has from 1 to {_MOST_UNITS} units")
    if any(later >= earlier for earlier, later in pairwise(sizes)):
        raise ValueError(f"the layers {list(sizes)}: each is smaller than the one before")
    return sizes


def _checked(
    weights: Mapping[str, np.ndarray[Any, Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray[Any, Any]]:
    found = {}
    for name, shape in shapes.items():
        array = weights.get(name)
        if array is None or array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"the weight {name} is not what the network needs")
        # Fitted in single precision, computed with in double: then a window scores the same alone and among many.
        found[name] = np.asarray(array, dtype=np.float64)
    return found
