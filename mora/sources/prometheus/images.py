"""The images that a workload's containers ran over time: asked only where that may explain an incident."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from mora.domain import ImageUse, Window
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.grid import cut, rows_ahead
from mora.sources.prometheus.labels import is_image
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.parts import in_parts
from mora.sources.prometheus.promql import duration
from mora.sources.prometheus.tally import moved
from mora.sources.prometheus.wire import Wire


def images(scope: Scope, window: Window) -> str:
    """PromQL: 1 for each container and image that one of the pods ran within the step.

    image_spec is what the pod asks for; `image`, what the node calls it, may differ between nodes of one rollout.
    """
    ran = f"last_over_time({scope.select('kube_pod_container_info')}[{duration(window.step)}])"
    return f"max by (container,image_spec,image) ({ran})"


def read_images(wire: Wire, scope: Scope, window: Window) -> tuple[ImageUse, ...]:
    """The images of the pods of a scope, each with when it was seen first and last; empty without pods."""
    if not scope.pods:
        return ()

    def ask(part: Scope) -> list[tuple[Window, Strip]]:
        questions = [("images", images(part, window), piece) for piece in cut(window)]
        return [(piece, one) for _, piece, strips in wire.ranges(questions, in_time=True) for one in strips]

    rows: dict[tuple[str, str], tuple[int, int]] = {}
    for piece, strip in in_parts(ask, scope):
        container = strip.labels.get("container", "")
        image = strip.labels.get("image_spec") or strip.labels.get("image", "")
        here = moved(strip, rows_ahead(piece, window)).rows
        numbers = np.arange(here.start, here.stop) if isinstance(here, slice) else here
        if not container or not len(numbers):
            continue
        if not is_image(image):
            wire.names.note("image", image)
            continue
        first, last = rows.get((container, image), (int(numbers[0]), int(numbers[-1])))
        rows[container, image] = min(first, int(numbers[0])), max(last, int(numbers[-1]))
    return tuple(
        ImageUse(container, image, _at(window, first), _at(window, last))
        for (container, image), (first, last) in sorted(rows.items())
    )


def _at(window: Window, row: int) -> datetime:
    return window.start + row * window.step
