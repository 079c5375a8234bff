"""What the tests let workers do."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any


def where(name: str) -> int:
    """The process that did it."""
    return os.getpid()


def where_with_company(name: str, folder: str, processes: int) -> int:
    """The process that did it, once so many processes do the same."""
    (Path(folder) / str(os.getpid())).touch()
    while len(list(Path(folder).iterdir())) < processes:
        time.sleep(0.01)
    return os.getpid()


def once_touched(name: str, touched: str, awaited: str) -> int:
    """Touch a file, wait for another one."""
    Path(touched).touch()
    while not Path(awaited).exists():
        time.sleep(0.01)
    return os.getpid()


def deadly(name: str) -> str:
    """Take the process down, if so named, once its nanny would start another: it gives up on one that never ran."""
    if name == "deadly":
        while not _nanny_would_restart():
            time.sleep(0.01)
        os._exit(1)
    return name


def _nanny_would_restart() -> bool:
    from distributed import get_worker
    from distributed.utils import sync

    worker: Any = get_worker()

    async def ask() -> Any:
        return await worker.rpc(worker.nanny).run(function=pickle.dumps(_is_up))

    return bool(sync(worker.loop, ask)["result"])


def _is_up(dask_worker: Any) -> bool:
    """Whether a nanny and the worker process below it have both started; distributed names its argument."""
    return {dask_worker.status.name, dask_worker.process.status.name} == {"running"}


def faulty(name: str) -> None:
    raise ZeroDivisionError(name)
