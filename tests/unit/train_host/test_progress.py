from __future__ import annotations

import io

import pytest

from train_host.progress import ProgressLine

EPOCH = {"epoch": 3, "epochs": 9, "loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_keeps_one_line_and_ends_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    line = ProgressLine(stream)
    line({"stage": "reading"})
    line(EPOCH)
    line.end()
    text = stream.getvalue()
    assert "\n" not in text
    assert "epoch 3/9  loss 0.500  accuracy 0.750  validation: loss 0.600  accuracy 0.700" in text
    assert text.endswith("\r\x1b[K")


def test_a_file_gets_stages_and_the_last_epoch_but_not_every_epoch() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    line({"stage": "reading", "device": "CPU"})
    line({**EPOCH, "epoch": 1, "epochs": 4})
    line({**EPOCH, "epoch": 2, "epochs": 4})
    line({**EPOCH, "epoch": 4, "epochs": 4, "fold": 1, "folds": 5})
    line.end()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "reading (CPU) …"
    assert lines[-1].startswith("fold 1/5  epoch 4/4")
    assert len(lines) <= 3


def test_within_an_epoch_it_says_how_fast_it_goes_and_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    speed = {"windows_per_s": 12345.6, "left_s": 3725.2}
    ProgressLine(stream)(
        {"epoch": 2, "epochs": 9, "step": 45, "steps": 100, **speed, "loss": 0.25, "mean_error": 0.5}
    )
    line = "epoch 2/9  45 %  loss 0.250  mean error 0.500  12,346 windows/s  at most 1:02:05 left"
    assert stream.getvalue() == f"\r\x1b[K{line}"


def test_a_line_is_never_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    ProgressLine(stream)(EPOCH)
    assert len(stream.getvalue().removeprefix("\r\x1b[K")) == 39


def test_a_note_stays_on_a_line_of_its_own() -> None:
    stream = Terminal()
    line = ProgressLine(stream)
    line({"stage": "reading"})
    line({"note": "goes on in epoch 3 of 9"})
    line({"stage": "writing"})
    assert "\r\x1b[Kgoes on in epoch 3 of 9\n\r\x1b[Kwriting" in stream.getvalue()
    plain = io.StringIO()
    ProgressLine(plain)({"note": "goes on"})
    assert plain.getvalue() == "goes on\n"
