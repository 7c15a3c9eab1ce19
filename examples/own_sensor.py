"""One's own sensor is a generator of blocks: here an MPU-6050 accelerometer over I2C, with smbus2."""

import numpy as np

from edge_sdk import Block, Model, ticks


def mpu6050(bus, rate_hz=50.0):
    """Yields float32 [1, 3], g."""
    for _ in ticks(rate_hz):  # monotonic deadlines; missed ones are counted
        raw = bytes(bus.read_i2c_block_data(0x68, 0x3B, 6))
        samples = np.frombuffer(raw, ">i2").astype(np.float32) / 16384
        yield Block(samples[None], rate_hz, channels=("ax", "ay", "az"), device="wrist")


if __name__ == "__main__":
    from smbus2 import SMBus

    with SMBus(1) as bus, Model.load("motion.tflite") as model:
        for prediction in model.stream(mpu6050(bus)):
            print(prediction)
