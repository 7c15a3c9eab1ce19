"""What a training leaves beside its model: record, page and pictures, all named after it.

So two models in one folder keep apart, and neither takes the place of what a conversion writes
(``motion.tflite``, ``motion.report.html``).
"""

from __future__ import annotations

from pathlib import Path

#: Everything needed to repeat the run; how good the model is, for people.
RECORD, PAGE = "run.json", "training.html"
#: How the figures went; what was taken for what, of a classification.
HISTORY, CONFUSION = "history.png", "confusion.png"


def path(model: Path, name: str) -> Path:
    """Where a companion of a model lies.

    Args:
        model: a .keras file.
        name: of the companion: `RECORD`, `PAGE`, or the name of a picture.

    >>> path(Path("models/motion.keras"), RECORD).as_posix()
    'models/motion.run.json'
    """
    return model.with_name(f"{model.stem}.{name}")
