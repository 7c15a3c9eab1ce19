"""A gateway: one model for every device that publishes under plant/+/imu, until somebody stops it."""

import signal

from edge_sdk import Pipeline

pipeline = Pipeline.from_config("gateway.toml")
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: pipeline.stop())  # what was read is still delivered

ledger = pipeline.run().ledger
print(ledger.samples.read, "samples,", ledger.delivered, "predictions delivered,", ledger.queued, "queued")
