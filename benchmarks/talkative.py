"""A tiny model of random weights that talks and draws, and a server with it.

    python -m benchmarks.talkative --port 8123 --data-dir out/serve

Its answers mean nothing, but depend on image, question and earlier masks, and take milliseconds:
what tests of sessions and servers need.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mediround.model.loading import compose
from mediround.presets import tiny
from mediround.session import Model, reader

LONGEST_ANSWER = 6


def talkative() -> Model:
    """The model; the same at every call. Answers of this process are cut to six tokens."""
    reader.LONGEST_ANSWER = LONGEST_ANSWER  # random weights do not know when to stop
    network = compose(tiny())
    generator = torch.Generator().manual_seed(2)
    lively: list[Any] = [network.projection, network.perception, network.segmenter.decoder]
    with torch.no_grad():
        for part in (*lively, network.language.inner):
            for parameter in part.parameters():
                parameter.mul_(3)
        language: Any = network.language
        for row in (language.seg_in, language.seg_out):
            row.normal_(0, 0.1, generator=generator)
    network.eval().requires_grad_(False)
    network.language.merge_adapter()
    return Model(network, "talkative", "0" * 64)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stopped."""
    from mediround.server.process import serve
    from mediround.server.settings import Rates, ServerSettings, parse_tokens

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", action="append", default=[])
    parser.add_argument("--live-sessions", type=int, default=64)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--together", type=int, default=0)
    chosen = parser.parse_args(arguments)
    fast = Rates(work=1e6, work_burst=10**6, reading=1e6, reading_burst=10**6)
    settings = ServerSettings(
        data=chosen.data_dir,
        port=chosen.port,
        tokens=parse_tokens(chosen.token),
        live_sessions=chosen.live_sessions,
        at_once=chosen.at_once,
        together=chosen.together,
        rates=fast,
    )
    serve(settings, talkative, lambda address: print(address, flush=True))


if __name__ == "__main__":
    main()
