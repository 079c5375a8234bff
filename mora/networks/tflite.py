"""Running a TFLite model: by LiteRT, which needs no TensorFlow, or by TensorFlow's own interpreter."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np

from mora.domain.learning import Floats
from mora.errors import BadModel
from mora.extras import missing, require
from mora.networks.keras_room import silent_stderr

LITERT, TENSORFLOW = "ai-edge-litert", "tensorflow"


class TfliteModel:
    """A model of one input and one output, each with the one example that it takes at a time; threads may share it."""

    def __init__(self, content: bytes) -> None:
        """Raises BadModel for what is no TFLite model, ToolMissing where neither LiteRT nor TensorFlow is installed."""
        self.library = LITERT if LITERT not in missing("health") else TENSORFLOW
        try:
            with warnings.catch_warnings(), silent_stderr():
                warnings.simplefilter("ignore")
                self._interpreter = _interpreter(self.library, content)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as wrong:
            raise BadModel("This is no TFLite model that can be run.", hint="Train the detector again.") from wrong
        ins, outs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(ins) != 1 or len(outs) != 1 or ins[0]["shape"][0] != 1 or outs[0]["shape"][0] != 1:
            raise BadModel("This TFLite model is not of a detector.", hint="Train the detector again.")
        self._in, self._out = ins[0], outs[0]
        self._content, self._lock = content, threading.Lock()

    def __reduce__(self) -> tuple[type[TfliteModel], tuple[bytes]]:
        # An interpreter stays in its process: another makes its own.
        return type(self), (self._content,)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape of an example and of what is made of it."""
        return tuple(int(n) for n in self._in["shape"][1:]), tuple(int(n) for n in self._out["shape"][1:])

    def forward(self, examples: Floats) -> Floats:
        """What the model makes of each example, shape (n, ...) -> (n, ...)."""
        out = np.empty((len(examples), *self.shapes[1]))
        with self._lock:
            for number, example in enumerate(examples.astype(np.float32)):
                self._interpreter.set_tensor(self._in["index"], example[None])
                self._interpreter.invoke()
                out[number] = self._interpreter.get_tensor(self._out["index"])[0]
        return out


def _interpreter(library: str, content: bytes) -> Any:
    if library == LITERT:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=content, num_threads=1)
    if missing("train"):
        require("health", by="Running a TFLite model")
    from mora.networks.keras_room import tflite_interpreter

    return tflite_interpreter(content)
