"""One's own destination is a function of a prediction; a rule says which ones it gets."""

from pathlib import Path

from edge_sdk import Pipeline, Prediction, To


def note(prediction: Prediction) -> None:
    """To return is to acknowledge; an exception would end the run."""
    with Path("falls.log").open("a") as file:
        file.write(f"{prediction.wall_s:.1f} {prediction.device} {prediction.score:.2f}\n")


falls = To(note, when="label == 'fall' and score > 0.5")
report = Pipeline("motion.tflite", ["synthetic:sine?freq_hz=0.1&seconds=60&speed=max"], [falls]).run()
print(report.ledger.predictions, "predictions")
