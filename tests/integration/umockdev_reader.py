"""Opens a source and prints what it yields, one JSON object a line; the end of standard input closes it."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from edge_sdk import open_source
from edge_sdk.blocks import Block, boottime_s
from edge_sdk.contract import Channel, Input
from edge_sdk.errors import EdgeError


def say(kind: str, **facts: Any) -> None:
    print(json.dumps({"kind": kind, **facts}), flush=True)


def main() -> None:
    request = json.loads(sys.argv[1])
    try:
        with open_source(request["url"], **request["options"]) as source:
            if (wanted := request["expect"]) is not None:
                channels = tuple(Channel(**channel) for channel in wanted["channels"])
                source.expect(Input(channels, wanted["rate_hz"], 8, 8))
            closed_s = []

            def close() -> None:
                sys.stdin.read()
                closed_s.append(time.monotonic())
                source.close()

            threading.Thread(target=close, daemon=True).start()
            for item in source:
                if isinstance(item, Block):
                    say(
                        "block",
                        samples=item.samples.tolist(),
                        channels=item.channels,
                        rate_hz=item.rate_hz,
                        gap=item.gap,
                        age_s=boottime_s() - item.time_s,
                        time_s=item.time_s,
                        dtype=str(item.samples.dtype),
                    )
                else:
                    say("fault", reason=item.reason, detail=item.detail, samples=item.samples)
            say("end", missed=source.missed, took_s=time.monotonic() - closed_s[0] if closed_s else None)
    except EdgeError as error:
        say("error", error=type(error).__name__, message=str(error))


main()
