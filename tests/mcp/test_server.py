"""A real client of the official SDK talks to `mora mcp` over stdio, about a shop in a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from mora.mcp.answers import BUDGET, tokens
from mora.quantities import parse_cpu, parse_memory
from tests.fleet import rig
from tests.running import command, mora

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    fleet = rig.shop(time.time() + 3600)
    with rig.serving(tmp_path_factory.mktemp("shop"), fleet) as url:
        yield url


Talk = Callable[[Client], Awaitable[Any]]


def talk(url: str, what: Talk, *options: str) -> Any:
    program, *words = command("mcp", "-n", "shop", "--prometheus", url, "--no-kubernetes", *options)
    server = StdioServerParameters(command=program, args=words, env={"PYTHONPATH": str(ROOT)})

    async def talking() -> Any:
        async with Client(server) as client:
            return await what(client)

    return asyncio.run(talking())


async def text_of(client: Client, tool: str, **arguments: object) -> str:
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    return str(getattr(content, "text", ""))


def test_every_tool_is_read_only_and_says_what_it_takes(prometheus: str) -> None:
    async def look(client: Client) -> Any:
        return (await client.list_tools()).tools

    tools = talk(prometheus, look)
    assert {tool.name for tool in tools} == {"list_workloads", "recommend", "explain", "what_if"}
    for tool in tools:
        assert tool.description
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.destructive_hint is False
        for about in tool.input_schema["properties"].values():
            assert about["description"]
    page = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\|(.+)\|$", page, re.MULTILINE)
    taken = {tool.name: set(tool.input_schema["properties"]) for tool in tools}
    assert {name: set(re.findall(r"`(\w+)`", takes)) for name, takes in rows} == taken


def as_of(text: str) -> set[str]:
    return {one["as_of"] for one in json.loads(text)["recommendations"]}


def test_the_numbers_are_those_of_mora_recommend(prometheus: str, tmp_path: Path) -> None:
    async def ask(client: Client) -> tuple[str, str, str]:
        compact = await text_of(client, "recommend")
        full = await text_of(client, "recommend", format="json")
        return compact, full, await text_of(client, "list_workloads")

    arguments = ("--all", "-n", "shop", "--prometheus", prometheus, "--no-kubernetes", "-o", "json")
    for _ in range(3):
        compact, full, listed = talk(prometheus, ask)
        printed = mora("recommend", *arguments, cwd=tmp_path)
        assert printed.returncode == 0, printed.stderr
        # The history ends at the last five minutes: where they passed in between, both are asked again.
        if as_of(full) == as_of(printed.stdout):
            break
    known = {one["service"]: one for one in json.loads(printed.stdout)["recommendations"]}
    assert json.loads(full) == json.loads(printed.stdout)

    assert tokens(compact) <= BUDGET
    rows = [line for line in compact.splitlines()[2:] if not line.startswith("note: ")]
    seen = set()
    for row in rows:
        name = row.split(" ")[0].lstrip("!")
        one = known[name]
        seen.add(name)
        for label, key, parse in (
            ("cpu", "cpu_request_millicores", parse_cpu),
            ("mem", "memory_request_bytes", parse_memory),
        ):
            cell = re.search(rf" {label} (\S+)", row)
            assert cell is not None
            value = cell[1].partition(">")[2] or (cell[1].removesuffix("=") if cell[1].endswith("=") else "")
            assert (parse(value) if value else None) == one[key]["value"]
    assert seen == set(known)
    assert all(f"\n{name} " in listed for name in known)


def test_it_explains_compares_and_says_why_it_cannot(prometheus: str) -> None:
    async def ask(client: Client) -> tuple[str, str, Any]:
        explained = await text_of(client, "explain", workload="deployment/cart")
        compared = await text_of(client, "what_if", workload="scarred", allow_any_step=True)
        return explained, compared, await client.call_tool("explain", {"workload": "nope"})

    explained, compared, refused = talk(prometheus, ask)
    assert explained.startswith("Deployment shop/cart\n")
    assert "memory peak" in explained
    stepped = re.search(r"cpu request: now 500m, usually 250m .+, if so (\d+)m", compared)
    assert stepped is not None
    assert int(stepped[1]) < 250
    assert refused.is_error
    assert "No workload 'nope'" in refused.content[0].text


def test_it_answers_while_prometheus_is_away_and_ends_when_its_client_goes() -> None:
    async def ask(client: Client) -> Any:
        return await client.call_tool("recommend", {})

    refused = talk("http://127.0.0.1:9", ask)
    assert refused.is_error
    assert "127.0.0.1:9 cannot be reached" in refused.content[0].text
