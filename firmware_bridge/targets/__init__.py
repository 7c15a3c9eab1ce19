"""Boards as targets: emulated in this process or by QEMU, or real ones at a serial port."""
