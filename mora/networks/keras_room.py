"""Keras on TensorFlow: the one room that imports them, with what every fit of a small network shares."""

from __future__ import annotations

import io
import os
import random
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from mora.extras import require

# Networks that TensorFlow has traced and that no fit uses now, by what they were traced for. Tracing takes as long as a
# few epochs on a thousand windows, so the next fit of this process takes one over, in the state of a new one.
_traced: dict[Hashable, Any] = {}
_MOST_TRACED = 8


def load_keras(*, by: str) -> Any:
    """Keras on TensorFlow, quiet, with one thread: two are slower on networks this small, and the sums differ.

    by: who needs it, the subject of the error's first sentence. Raises ToolMissing where it is not installed.
    """
    require("train", by=by)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN reorders sums by the machine at hand; without it the same seed gives the same weights on more machines.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with warnings.catch_warnings(), silent_stderr():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        import keras
        import tensorflow as tf

    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow already runs in this process with threads of its own (a caller's): slower, not wrong.
        return keras
    return keras


def to_tflite(model: Any) -> bytes:
    """A Keras model of fixed shape as a TFLite model, float32: what LiteRT and TensorFlow's interpreter read."""
    import tensorflow as tf

    # Its export prints the model's signature.
    with warnings.catch_warnings(), silent_stderr(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        converted: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return converted


def tflite_interpreter(content: bytes) -> Any:
    """TensorFlow's own interpreter of a TFLite model: deprecated, and enough where LiteRT is not installed."""
    import tensorflow as tf

    return tf.lite.Interpreter(model_content=content, num_threads=1)


def compiled(traced_for: Hashable, fresh: Any, keras: Any, *, learning_rate: float, loss: str) -> Any:
    """A compiled network in the state of `fresh`, weights and random seeds: a traced one where one was kept."""
    traced = _traced.pop(traced_for, None)
    if traced is None:
        fresh.compile(optimizer=keras.optimizers.Adam(learning_rate), loss=loss, jit_compile=False)
        # Without its slots, the optimizer makes them inside the first step, and TensorFlow traces that a second time.
        fresh.optimizer.build(fresh.trainable_variables)
        return fresh
    for own, new in zip(traced.variables, fresh.variables, strict=True):
        own.assign(new)
    for slot in traced.optimizer.variables:
        slot.assign(keras.ops.zeros_like(slot))
    traced.optimizer.learning_rate = learning_rate
    return traced


def keep(traced_for: Hashable, model: Any) -> None:
    """Keep a compiled network for the next fit; only what was read out of it before is sure to stay."""
    _traced[traced_for] = model
    while len(_traced) > _MOST_TRACED:
        _traced.pop(next(iter(_traced)), None)


def seeds(seed: int) -> Callable[[], int]:
    """A draw of seeds for layers: by itself, Keras takes them from `random`, which other threads move on."""
    draws = random.Random(seed)  # noqa: S311  (no secret is drawn)
    return lambda: draws.randint(1, 10**9)


def lstm_layer(keras: Any, units: int, drawn: Callable[[], int], **options: Any) -> Any:
    """Keras' LSTM layer, with all that is random in it drawn from `drawn`."""
    first, second = keras.initializers.GlorotUniform(drawn()), keras.initializers.Orthogonal(seed=drawn())
    return keras.layers.LSTM(units, kernel_initializer=first, recurrent_initializer=second, seed=drawn(), **options)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard standard error: TensorFlow's C++ reports at import, whatever is set, that there is no GPU.

    A failed import is an exception and still seen.
    """
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
