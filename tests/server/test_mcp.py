"""Tools for language models: below one folder, and nothing else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from tests.server.conftest import png

from mediround.errors import InputError
from mediround.server.mcp import Desk, create_mcp
from mediround.session import Model


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "a.png").write_bytes(png(1))
    (tmp_path / "secret.png").write_bytes(png(2))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    return folder


def test_open_ask_list_export(root: Path, tmp_path: Path, model: Model) -> None:
    desk = Desk(root, tmp_path / "out", lambda: model)
    assert desk.list_images() == ["inside/a.png"]
    opened = desk.open_image("inside/a.png")
    session = opened["session"]
    assert opened["size"] == [60, 72]
    first = desk.ask(session, "Segment the liver.")
    assert desk.entities(session) == first["entities"]
    assert first["entities"][0]["area_pixels"] >= 0
    assert desk.show(session).data
    files = desk.export(session, "png", "result")
    assert (tmp_path / "out" / files[0]).is_file()
    with pytest.raises(InputError, match="exists"):
        desk.export(session, "png", "result")


@pytest.mark.parametrize(
    "path", ["../secret.png", "link.png", "/etc/passwd", "inside/../../secret.png", "a\0b", ".."]
)
def test_nothing_outside_is_opened(root: Path, model: Model, path: str) -> None:
    desk = Desk(root, root.parent / "out", lambda: model)
    with pytest.raises(InputError, match="outside"):
        desk.open_image(path)


def test_over_the_protocol(root: Path, model: Model) -> None:
    with ThreadPoolExecutor(1) as own:  # tests of the page keep a loop in this thread
        own.submit(asyncio.run, _over_the_protocol(root, model)).result()


async def _over_the_protocol(root: Path, model: Model) -> None:
    async with Client(create_mcp(root, lambda: model)) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"list_images", "open_image", "ask", "entities", "show"}
        for tool in tools.values():
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint
        opened: Any = await client.call_tool("open_image", {"path": "inside/a.png"})
        assert not opened.is_error
        refused: Any = await client.call_tool("open_image", {"path": "none.png"})
        assert refused.is_error
        assert str(root) not in str(refused)
