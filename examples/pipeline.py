"""A pipeline in Python: the same as an edgeml.toml, and it can be written as one."""

from edge_sdk import From, Pipeline, To

pipeline = Pipeline(
    "motion.tflite",
    sources=[From("synthetic:sine?freq_hz=0.1&seconds=60&speed=max", queue=16)],
    sinks=[
        "sqlite:events.db",
        To("jsonl:falls.jsonl", when="event == 'start' and label == 'fall'"),
        To("stdout:", when="score > 0.8"),
    ],
    decision={"threshold": 0.6, "hold_s": 0.5},
    device="press-7",
)
report = pipeline.run(duration_s=600)
assert report.ledger.balanced  # every sample and every prediction is accounted for
print(pipeline.config.to_toml())
