"""Small synthetic use for the tests of the bounds; seeded."""

from __future__ import annotations

import numpy as np

from mora.bounds.ticks import Floats, Indices


def bumpy(*, days: float = 20, step_seconds: int = 900, seed: int = 1, gaps: float = 0.03) -> Floats:
    """A daily pattern, noise, bursts, gaps and an outage of a day and a half; around 0.5."""
    rng = np.random.default_rng(seed)
    count = int(days * 86400 / step_seconds)
    day = np.sin(2 * np.pi * np.arange(count) * step_seconds / 86400)
    use = np.clip(0.4 + 0.2 * day + rng.gamma(1.2, 0.1, count), 0, None)
    use[rng.random(count) < 0.02] *= 4
    use[rng.random(count) < gaps] = np.nan
    use[int(count * 0.6) : int(count * 0.6) + int(1.5 * 86400 / step_seconds)] = np.nan
    return use


def every(horizon_seconds: int, *, warmup_seconds: int, step_seconds: int, count: int) -> Indices:
    """The first samples of the windows, as the replay chooses them."""
    windows = (count * step_seconds - warmup_seconds) // horizon_seconds
    return -(-(warmup_seconds + horizon_seconds * np.arange(windows, dtype=np.int64)) // step_seconds)
