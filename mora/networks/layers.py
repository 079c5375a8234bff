"""Layers in numpy, in Keras' weight layout (gates i, f, c, o): no TensorFlow is needed to use a fitted network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mora.domain.learning import Floats

LstmWeights = tuple[Floats, Floats, Floats]
"""Kernel (inputs, 4 * units), recurrent kernel (units, 4 * units), bias (4 * units,) of one LSTM layer."""


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), for any x."""
    # tanh never overflows, exp(-x) does.
    half: Floats = 0.5 * (1.0 + np.tanh(0.5 * x))
    return half


def lstm(sequence: Floats, kernel: Floats, recurrent: Floats, bias: Floats) -> Floats:
    """One LSTM layer, shape (n, steps, inputs) -> (n, steps, units)."""
    count, steps, _ = sequence.shape
    units = recurrent.shape[0]
    projected = sequence @ kernel + bias
    hidden, cell = np.zeros((count, units)), np.zeros((count, units))
    out = np.empty((count, steps, units))
    for step in range(steps):
        gates = projected[:, step] + hidden @ recurrent
        let_in, forget = sigmoid(gates[:, :units]), sigmoid(gates[:, units : 2 * units])
        new, let_out = np.tanh(gates[:, 2 * units : 3 * units]), sigmoid(gates[:, 3 * units :])
        cell = forget * cell + let_in * new
        hidden = let_out * np.tanh(cell)
        out[:, step] = hidden
    return out


class LstmStack:
    """LSTM layers one on another, computed at once: while the first is at step t, the next is at t - 1, and so on.

    The same numbers as `lstm` layer by layer, in a third of the calls for three layers: with one window, the calls are
    what takes the time. The layers' hidden states stand side by side, and one matrix leads from them to all gates.
    """

    def __init__(self, layers: Sequence[LstmWeights]) -> None:
        sizes = [len(recurrent) for _, recurrent, _ in layers]
        starts = [0, *np.cumsum(sizes).tolist()]
        whole = starts[-1]
        self._starts, self._whole = starts, whole
        self._recurrent = np.zeros((whole, 4 * whole))
        self._entry = np.zeros((len(layers[0][0]), 4 * whole))
        self._bias = np.zeros(4 * whole)
        for number, (kernel, recurrent, bias) in enumerate(layers):
            begin, end = starts[number], starts[number + 1]
            units = end - begin
            # Ours are i, f, o, c: the three that pass through a sigmoid, (1 + tanh(x / 2)) / 2, are together and halved
            # here, so that one tanh serves all four.
            for place, (gate, share) in enumerate(((0, 0.5), (1, 0.5), (3, 0.5), (2, 1.0))):
                theirs = slice(gate * units, (gate + 1) * units)
                ours = slice(place * whole + begin, place * whole + end)
                self._recurrent[begin:end, ours] = share * recurrent[:, theirs]
                self._bias[ours] = share * bias[theirs]
                if number == 0:
                    self._entry[:, ours] = share * kernel[:, theirs]
                else:
                    self._recurrent[starts[number - 1] : begin, ours] = share * kernel[:, theirs]

    def forward(self, sequence: Floats) -> Floats:
        """The last layer's states, shape (n, steps, inputs) -> (n, steps, units of the last layer)."""
        steps = sequence.shape[1]
        # Steps first: each step is one piece of memory.
        projected = sequence.transpose(1, 0, 2) @ self._entry + self._bias
        return self._run(projected, steps)

    def repeat(self, vectors: Floats, steps: int) -> Floats:
        """The same where every step is given the same vector, shape (n, inputs) -> (n, steps, units)."""
        projected = np.broadcast_to(vectors @ self._entry + self._bias, (steps, len(vectors), 4 * self._whole))
        return self._run(projected, steps)

    def _run(self, projected: Floats, steps: int) -> Floats:
        starts, whole = self._starts, self._whole
        count, behind = projected.shape[1], len(starts) - 2
        hidden, cell = np.zeros((count, whole)), np.zeros((count, whole))
        gates = np.empty((count, 4 * whole))
        out = np.empty((steps, count, whole - starts[-2]))
        open_, new = gates[:, : 3 * whole], gates[:, 3 * whole :]
        let_in, forget, let_out = (gates[:, n * whole : (n + 1) * whole] for n in range(3))
        for turn in range(steps + behind):
            np.matmul(hidden, self._recurrent, out=gates)
            # After its last step, the first layer is given that again: nothing reads what comes of it.
            gates += projected[min(turn, steps - 1)]
            np.tanh(gates, out=gates)
            open_ += 1.0
            open_ *= 0.5
            cell *= forget
            let_in *= new
            cell += let_in
            np.tanh(cell, out=hidden)
            hidden *= let_out
            if turn < behind:  # the layers above have not begun
                hidden[:, starts[turn + 1] :] = 0.0
                cell[:, starts[turn + 1] :] = 0.0
            else:
                out[turn - behind] = hidden[:, starts[-2] :]
        return out.transpose(1, 0, 2)
