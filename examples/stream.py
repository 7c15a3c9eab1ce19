"""A model, a sensor and two destinations: once in this thread, once as a pipeline."""

from edge_sdk import Model, Pipeline, open_source

SERIAL = "serial:///dev/ttyACM0?baud=115200"

model = Model.load("motion.tflite")  # verified once, then trusted by digest

with open_source(SERIAL) as imu:  # in this thread, nothing hidden
    for prediction in model.stream(imu):
        print(prediction.device, prediction.label, prediction.score)
        if prediction.sequence == 9:
            break

report = Pipeline(model, sources=[SERIAL], sinks=["sqlite:events.db", print]).run(duration_s=60)
assert report.ledger.balanced  # threads, faults, delivery: what `edgeml run` does
