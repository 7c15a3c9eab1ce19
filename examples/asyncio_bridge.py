"""Predictions in an asyncio program: the pipeline runs in a thread and hands them over to the loop."""

import asyncio

from edge_sdk import Pipeline, Prediction


async def main() -> None:
    """Prints what comes out of a queue."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Prediction | None] = asyncio.Queue(maxsize=100)

    def hand_over(prediction: Prediction | None) -> None:
        """From the sink's thread: waits while the queue is full; a loop that hangs ends the run."""
        asyncio.run_coroutine_threadsafe(queue.put(prediction), loop).result(timeout=5)

    def run() -> None:
        try:
            pipeline.run()
        finally:
            hand_over(None)

    pipeline = Pipeline("motion.tflite", ["synthetic:sine?freq_hz=0.1&seconds=20&speed=max"], [hand_over])
    running = asyncio.create_task(asyncio.to_thread(run))
    try:
        while (prediction := await queue.get()) is not None:
            print(prediction)
        await running  # raises what ended the run
    finally:
        pipeline.stop()


asyncio.run(main())
