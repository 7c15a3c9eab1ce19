"""Firmware that infers by itself and prints a line of scores for each window: 0.02,0.95,0.03."""

from pathlib import Path

from edge_sdk import Model, Pipeline, Prediction


def board(port):
    """Yields what the firmware said: a score for each label, in their order."""
    for line in port:
        yield Prediction.of([float(score) for score in line.split(",")], device="press-7")


if __name__ == "__main__":
    model = Model.load("motion.tflite", target="source:")  # labels and decision; no runtime is loaded
    with Path("/dev/ttyACM0").open(encoding="ascii") as port:
        report = Pipeline(model, [board(port)], ["sqlite:events.db", print]).run(duration_s=60)
    print(report.predictions, "predictions")
