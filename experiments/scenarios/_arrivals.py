"""Runs inside Locust beside a scenario and makes its load an open one: requests arrive at a rate, answers late or not.

A request waits for its turn, and turns come at MORA_LOAD_RATE a second, each at a random moment of its own slot: any
second has the same number of them. Users keep what they do and their pauses; a turn goes to the one that has waited
least, so that only as many users are active as the rate needs, and the others rest. MOrA passes this file to Locust as
another locustfile. It has no User.

One JSON object a line, at each whole second, in MORA_LOAD_ARRIVALS/PID.jsonl: `time` (Unix seconds), `sent` (requests
since the start), `late` (those that waited more than 0.1 s for a user who was free), `resting` (users).
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust import events
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.runners import MasterRunner

_LATE_SECONDS = 0.1


class Turns:
    """Hands turns to waiting requests at a rate."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.waiting: list[Event] = []
        self.due: list[float] = []
        self.sent = self.late = 0

    def wait(self) -> None:
        """Return when it is this request's turn."""
        if self.due:  # turns that no user was free for: the oldest first
            self._count(self.due.pop(0))
            return
        turn = Event()
        self.waiting.append(turn)
        try:
            turn.wait()
        except gevent.GreenletExit:  # the user was stopped
            if turn in self.waiting:
                self.waiting.remove(turn)
            raise

    def run(self) -> None:
        """Hand out turns until the end of the process."""
        start, slot = time.time(), 0
        while True:
            moment = start + (slot + random.random()) / self.per_second
            gevent.sleep(max(0.0, moment - time.time()))
            slot += 1
            if self.waiting:
                self._count(moment)
                self.waiting.pop().set()
            else:
                self.due.append(moment)

    def _count(self, moment: float) -> None:
        self.sent += 1
        self.late += time.time() - moment > _LATE_SECONDS


def _paced(request: Any, turns: Turns) -> Any:
    def paced(session: Any, *arguments: Any, **options: Any) -> Any:
        turns.wait()
        return request(session, *arguments, **options)

    return paced


@events.init.add_listener
def _start(environment: Environment, **_: Any) -> None:
    if isinstance(environment.runner, MasterRunner):
        return  # its workers send
    turns = Turns(float(os.environ["MORA_LOAD_RATE"]))
    for session in (FastHttpSession, HttpSession):
        session.request = _paced(session.request, turns)
    path = Path(os.environ["MORA_LOAD_ARRIVALS"]) / f"{os.getpid()}.jsonl"

    @events.test_start.add_listener
    def _begin(**_: Any) -> None:
        gevent.spawn(turns.run)
        gevent.spawn(_record, turns, path)


def _record(turns: Turns, path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        while True:
            gevent.sleep(1 - time.time() % 1)
            line = {"time": time.time(), "sent": turns.sent, "late": turns.late, "resting": len(turns.waiting)}
            stream.write(json.dumps(line) + "\n")
            stream.flush()
