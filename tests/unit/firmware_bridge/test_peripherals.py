"""Registers of the UART and the timer, as firmware reads and writes them."""

from firmware_bridge.peripherals import Timer, Uart

DATA, STATE = 0, 4
CONTROL, VALUE, RELOAD = 0, 4, 8


def test_bytes_come_in_order_and_once():
    uart = Uart(lambda: None)
    uart.feed(b"ab")
    assert [uart.read(STATE), uart.read(DATA)] == [2, ord("a")]
    uart.feed(b"c")
    assert uart.waiting == 2
    assert [uart.read(DATA), uart.read(DATA), uart.read(STATE), uart.read(DATA)] == [ord("b"), ord("c"), 0, 0]


def test_there_is_always_room_to_send():
    uart = Uart(lambda: None)
    for byte in b"xy":
        assert not uart.read(STATE) & 1
        uart.write(DATA, 0xAA00 | byte)
    assert uart.sent == b"xy"


def test_a_core_that_asks_in_vain_is_paused_and_one_that_works_is_not():
    pauses = []
    uart = Uart(lambda: pauses.append(1))
    for _ in range(100):
        uart.read(STATE)
        uart.write(DATA, 0)
    assert not pauses
    for _ in range(Uart._PATIENCE):
        uart.read(STATE)
    assert len(pauses) == 1
    assert uart.polled


def test_a_hurry_pauses_at_the_next_question():
    pauses = []
    uart = Uart(lambda: pauses.append(1))
    uart.feed(b"a")
    uart.hurry = True
    uart.read(DATA)
    assert not pauses
    uart.read(STATE)
    assert pauses


def test_the_timer_stands_until_it_is_started_and_wraps():
    now = [1000]
    timer = Timer(lambda: now[0])
    timer.write(RELOAD, 0xFFFFFFFF)
    timer.write(VALUE, 0xFFFFFFFF)
    now[0] += 50
    assert timer.read(VALUE) == 0xFFFFFFFF
    timer.write(CONTROL, 1)
    now[0] += 7
    assert timer.read(VALUE) == 0xFFFFFFFF - 7
    assert [timer.read(CONTROL), timer.read(RELOAD)] == [1, 0xFFFFFFFF]
    now[0] += 0xFFFFFFFF - 7
    assert timer.read(VALUE) == 0
    now[0] += 1
    assert timer.read(VALUE) == 0xFFFFFFFF
    timer.write(CONTROL, 0)
    now[0] += 9
    assert timer.read(VALUE) == 0xFFFFFFFF


def test_a_short_period_begins_again_at_the_reload_value():
    now = [0]
    timer = Timer(lambda: now[0])
    timer.write(RELOAD, 9)
    timer.write(VALUE, 2)
    timer.write(CONTROL, 1)
    seen = []
    for _ in range(14):
        seen.append(timer.read(VALUE))
        now[0] += 1
    assert seen == [2, 1, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 9]
    timer.reset()
    assert timer.read(VALUE) == 0
