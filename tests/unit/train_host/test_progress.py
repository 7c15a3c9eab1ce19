from __future__ import annotations

import io

from train_host.progress import ProgressLine

EPOCH = {"epoch": 3, "loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_keeps_one_line_and_ends_empty() -> None:
    stream = Terminal()
    line = ProgressLine(9, stream)
    line({"stage": "reading"})
    line(EPOCH)
    line.end()
    text = stream.getvalue()
    assert "\n" not in text
    assert "epoch 3/9  loss 0.500  accuracy 0.750  validation: loss 0.600  accuracy 0.700" in text
    assert text.endswith("\r\x1b[K")


def test_a_file_gets_stages_and_the_last_epoch_but_not_every_epoch() -> None:
    stream = io.StringIO()
    line = ProgressLine(4, stream)
    line({"stage": "reading", "device": "CPU"})
    line({**EPOCH, "epoch": 1})
    line({**EPOCH, "epoch": 2})
    line({**EPOCH, "epoch": 4, "fold": 1, "folds": 5})
    line.end()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "reading (CPU) …"
    assert lines[-1].startswith("fold 1/5  epoch 4/4")
    assert len(lines) <= 3
