"""Opens a sink and does what standard input says, one JSON object a line; answers each on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from edge_sdk import open_sink
from edge_sdk.blocks import boottime_s
from edge_sdk.errors import EdgeError
from edge_sdk.prediction import Prediction


def prediction(age_s: float) -> Prediction:
    scores = np.array([0.9, 0.1], np.float32)
    return Prediction("fall", 0.9, None, scores, "wrist", "r", 0, time_s=boottime_s() - age_s)


def answer(do: Any) -> dict[str, Any]:
    try:
        do()
    except EdgeError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {}


def main() -> None:
    request = json.loads(sys.argv[1])
    try:
        sink = open_sink(request["url"], **request["options"])
    except EdgeError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
        return
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if "write" in command:
            said = answer(lambda ages=command["write"]: sink.write([prediction(age_s) for age_s in ages]))
        else:
            said = answer(getattr(sink, command["do"]))
        print(json.dumps(said), flush=True)


main()
