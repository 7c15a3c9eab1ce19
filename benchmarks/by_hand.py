"""The gateway that a good engineer writes by hand in an afternoon: paho, asyncio, a window for each device.

Run by `benchmarks.fleet` beside `edgeml run`: it does the same job on the same messages, and no more. It
keeps no books, checks no sensor, and holds what the broker has not acknowledged in memory.

    python -m benchmarks.by_hand PORT MODEL
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from paho.mqtt import client as mqtt

CHANNELS = ("ax", "ay", "az")
WINDOW, HOP = 50, 25
LABELS = ("x", "y", "z")


class Device:
    """A window of the latest samples."""

    def __init__(self) -> None:
        self.ring = np.zeros((0, len(CHANNELS)), np.float32)
        self.sequence = 0

    def push(self, samples: Any) -> Any:
        """The windows that the samples complete."""
        self.ring = np.concatenate([self.ring, samples])
        while len(self.ring) >= WINDOW:
            yield self.ring[:WINDOW]
            self.ring = self.ring[HOP:]


async def main(port: int, model: str) -> None:
    """Until SIGTERM."""
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[str, bytes]](maxsize=10_000)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="by-hand", clean_session=False)
    client.on_connect = lambda c, *_: c.subscribe("plant/+/imu", 1)
    client.on_message = lambda _c, _d, m: loop.call_soon_threadsafe(queue.put_nowait, (m.topic, m.payload))
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    devices: dict[str, Device] = defaultdict(Device)
    while True:
        topic, payload = await queue.get()
        name = topic.split("/")[1]
        device, message = devices[name], json.loads(payload)
        samples = np.array([message[channel] for channel in CHANNELS], np.float32).T
        for window in device.push(samples):
            interpreter.set_tensor(source, window[None])
            interpreter.invoke()
            scores = interpreter.get_tensor(result)[0]
            best = int(scores.argmax())
            said = {
                "device": name,
                "sequence": device.sequence,
                "label": LABELS[best],
                "score": float(scores[best]),
                "outputs": scores.tolist(),
            }
            device.sequence += 1
            client.publish(f"plant/{name}/state", json.dumps(said), 1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
