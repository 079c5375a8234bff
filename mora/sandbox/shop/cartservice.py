"""Session carts, kept in memory: the use of this service grows with the number of current sessions.

Every change keeps the state before it, in full and with the products as they were shown, so that a customer can undo it
and sees the original price. A cart expires CART_SECONDS after its last use, an ordered one as well. When the replicas
change, sessions move to the replica that callers will use.

    GET /carts/S                        {"lines": [...]}        (empty for an unknown session)
    POST /carts/S {product, quantity}   add
    POST /carts/S/undo                  back to the state before
    POST /carts/S/ordered               the cart becomes a receipt
    DELETE /carts/S                     empty
    POST /moved {session: [...]}        sessions from another replica
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from mora.sandbox.shop.endpoints import owner
from mora.sandbox.shop.serving import Service, Surroundings
from mora.sandbox.shop.wire import HttpFailure, Request, Response, answer_json

SERVICE = "cartservice"
# Long enough for a customer who hesitates, short enough that memory levels off within a minute of a new load.
CART_SECONDS = 30.0
_SWEEP_SECONDS = 0.25
_EMPTY = b"[]"


@dataclass(slots=True)
class Cart:
    """The states of a cart, oldest first, each as JSON: a list of {"product": {...}, "quantity": n}."""

    states: list[bytes] = field(default_factory=list)
    touched_at: float = 0.0
    is_ordered: bool = False

    @property
    def lines(self) -> bytes:
        """The current lines as JSON; an ordered cart has none."""
        return self.states[-1] if self.states and not self.is_ordered else _EMPTY


class Carts:
    """All carts of this replica; `now` is that of time.monotonic()."""

    def __init__(self) -> None:
        self.by_session: dict[str, Cart] = {}

    def touch(self, session: str, now: float) -> Cart:
        """The cart of a session, marked as used now; a new one after an order."""
        cart = self.by_session.get(session)
        if cart is None or cart.is_ordered:
            cart = self.by_session[session] = Cart()
        cart.touched_at = now
        return cart

    def add(self, session: str, product: dict[str, Any], quantity: int, now: float) -> Cart:
        """Add a product to the cart of a session, as a new state."""
        cart = self.touch(session, now)
        lines = json.loads(cart.lines)
        known = next((line for line in lines if line["product"]["id"] == product["id"]), None)
        if known is None:
            lines.append({"product": product, "quantity": quantity})
        else:
            known["quantity"] += quantity
        cart.states.append(json.dumps(lines, separators=(",", ":")).encode())
        return cart

    def sweep(self, now: float) -> None:
        """Delete the carts that have expired."""
        for session in [s for s, cart in self.by_session.items() if now - cart.touched_at > CART_SECONDS]:
            del self.by_session[session]

    def take_foreign(self, own_port: int, ports: list[int]) -> dict[int, list[str]]:
        """Sessions that belong to other replicas now: port of the owner -> sessions."""
        foreign: dict[int, list[str]] = {}
        for session in self.by_session:
            port = owner(session, ports)
            if port is not None and port != own_port:
                foreign.setdefault(port, []).append(session)
        return foreign


def build(surroundings: Surroundings) -> Service:
    """The service, as serving.serve() runs it."""
    carts = Carts()

    async def handle(request: Request) -> Response:
        now = time.monotonic()
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["carts", session]:
                cart = carts.by_session.get(session)
                if cart is not None:
                    cart.touched_at = now
                return Response(b'{"lines":' + (_EMPTY if cart is None else cart.lines) + b"}")
            case "POST", ["carts", session]:
                change = request.json()
                cart = carts.add(session, change["product"], int(change["quantity"]), now)
                return answer_json({"states": len(cart.states)})
            case "POST", ["carts", session, "undo"]:
                states = carts.touch(session, now).states
                if states:
                    states.pop()
                return answer_json({"states": len(states)})
            case "POST", ["carts", session, "ordered"]:
                carts.touch(session, now).is_ordered = True
                return answer_json("ok")
            case "DELETE", ["carts", session]:
                carts.by_session.pop(session, None)
                return answer_json("ok")
            case "POST", ["moved"]:
                for session, states in request.json().items():
                    cart = carts.touch(session, now)
                    cart.states[:0] = [state.encode() for state in states]
                return answer_json("ok")
            case _:
                raise HttpFailure(f"no such path: {request.path}", 404)

    async def move_foreign() -> None:
        for port, sessions in carts.take_foreign(surroundings.port, surroundings.endpoints.ports(SERVICE)).items():
            for session in sessions:
                cart = carts.by_session.pop(session)
                if not cart.is_ordered:
                    moved = {session: [state.decode() for state in cart.states]}
                    await surroundings.client.call(port, "POST", "/moved", moved)

    async def maintain() -> None:
        ports = surroundings.endpoints.ports(SERVICE)
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            carts.sweep(time.monotonic())
            if surroundings.endpoints.ports(SERVICE) != ports:
                ports = surroundings.endpoints.ports(SERVICE)
                await move_foreign()

    return Service(handle, background=maintain, before_exit=move_foreign)
