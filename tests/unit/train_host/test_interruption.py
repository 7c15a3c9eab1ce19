from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from train_host.interruption import Interruption, Remembered

FITTING = {"epoch": 1, "loss": 0.3}


@pytest.fixture(autouse=True)
def _usual_handlers() -> Iterator[None]:
    """pytest run in the background inherits an ignored SIGINT."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_ctrl_c_while_it_fits_asks_and_the_second_ends(tmp_path: Path) -> None:
    with Interruption(tmp_path / "stop") as interruption:
        interruption.watch(FITTING)
        signal.raise_signal(signal.SIGINT)
        assert (tmp_path / "stop").exists()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interruption.end()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("facts", [{"stage": "reading recordings"}, {"epoch": 2, "fold": 1}])
def test_what_cannot_leave_a_checkpoint_ends_at_once(tmp_path: Path, facts: dict[str, object]) -> None:
    with Interruption(tmp_path / "stop") as interruption:
        interruption.watch(FITTING)
        interruption.watch(facts)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not (tmp_path / "stop").exists()


def test_a_shutdown_has_the_status_that_shells_give_it(tmp_path: Path) -> None:
    with Interruption(tmp_path / "stop") as interruption:
        interruption.watch(FITTING)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit) as ended:
            interruption.end()
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_signals_of_others_are_left_alone(tmp_path: Path) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    with Interruption(tmp_path / "stop") as interruption:
        interruption.watch(FITTING)
        signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert not (tmp_path / "stop").exists()


def test_outside_the_main_thread_nothing_is_handled(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with Interruption(tmp_path / "stop"):
            assert signal.getsignal(signal.SIGINT) is before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_an_interrupt_that_python_dropped_comes_once_more() -> None:
    """What is raised while an object goes is printed and forgotten."""
    dropped: list[object] = []

    class Goes:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    hook, sys.unraisablehook = sys.unraisablehook, dropped.append
    try:
        with Remembered() as interruption:
            interruption.check()
            thing = Goes()
            del thing
            assert len(dropped) == 1
            with pytest.raises(KeyboardInterrupt):
                interruption.check()
    finally:
        sys.unraisablehook = hook
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Remembered() as interruption:
        signal.raise_signal(signal.SIGINT)
        interruption.check()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
