"""Small .tflite files that begin with a log-mel spectrogram, written as one framework or another would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.kinds import Net


@dataclass(frozen=True, kw_only=True)
class Spectrogram:
    """How one is written down.

    Attributes:
        window: samples.
        frame: samples.
        hop: samples.
        start: samples ahead of the first frame.
        length: of the transform.
        bands: features of a frame.
        pads: whether the frame is filled up by an operator ahead of the window function.
        magnitude: whether the power is that of COMPLEX_ABS.
        matmul: whether the filters are the second operand of BATCH_MATMUL.
        limited: whether MAXIMUM keeps silence from the logarithm, instead of what is added.
        decibels: whether it goes on to 10 log10.
        normalised: by SUB and DIV, for each band.
        image: whether the features get an axis more.
        peak: whether the window's largest feature is subtracted at the end.
        uneven: whether the last frame begins a sample late.
        tapped: whether the powers are an output, too.
    """

    window: int = 80
    frame: int = 16
    hop: int = 8
    start: int = 0
    length: int = 16
    bands: int = 4
    pads: bool = False
    magnitude: bool = False
    matmul: bool = False
    limited: bool = False
    decibels: bool = False
    normalised: bool = False
    image: bool = False
    peak: bool = False
    uneven: bool = False
    tapped: bool = False

    @property
    def frames(self) -> int:
        """In a window."""
        return 1 + (self.window - self.start - self.frame) // self.hop

    def constants(self) -> dict[str, NDArray[np.float32]]:
        """Window function, filters, mean and deviation."""
        rng = np.random.default_rng(self.frame * 100 + self.bands)
        bins = self.length // 2 + 1
        edges = np.sort(rng.integers(0, bins, (2, self.bands)), axis=0)
        inside = (np.arange(bins)[:, None] >= edges[0]) & (np.arange(bins)[:, None] <= edges[1])
        values = {
            "window": np.hanning(self.frame + 1)[:-1],
            "filters": inside * rng.uniform(0.1, 1, (bins, self.bands)),
            "mean": rng.normal(size=self.bands),
            "deviation": rng.uniform(0.5, 2, self.bands),
        }
        return {name: array.astype(np.float32) for name, array in values.items()}

    def expected(self, sound: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 [frames, bands] of float32 [window]."""
        known = self.constants()
        starts = self.start + self.hop * np.arange(self.frames)
        frames = np.stack([sound[at : at + self.frame] for at in starts]).astype(np.float64)
        power = np.abs(np.fft.rfft(frames * known["window"], self.length)) ** 2
        energy = power @ known["filters"]
        features = np.log(np.maximum(energy, 1e-3) if self.limited else energy + np.float32(1e-3))
        features = features * (10 / np.log(10)) if self.decibels else features
        if self.normalised:
            features = (features - known["mean"]) / known["deviation"]
        return features

    def flatbuffer(self) -> bytes:
        """The features, quantized and doubled."""
        net, known = Net(), self.constants()
        x = net.input("x", [1, self.window, 1])
        flat = net.op("RESHAPE", [x, net.constant(np.array([1, self.window], np.int32))], [1, self.window])
        places = self.start + self.hop * np.arange(self.frames)[:, None] + np.arange(self.frame)
        places[-1] += self.uneven
        shape = [1, self.frames, self.frame]
        y = net.op("GATHER", [flat, net.constant(places.astype(np.int32))], shape, axis=1)
        window = known["window"]
        if self.pads:
            more = np.array([[0, 0], [0, 0], [0, self.length - self.frame]], np.int32)
            shape = [1, self.frames, self.length]
            y = net.op("PAD", [y, net.constant(more)], shape)
            window = np.pad(window, (0, self.length - self.frame), constant_values=1)
        y = net.op("MUL", [y, net.constant(window)], shape)
        y = net.op("EXPAND_DIMS", [y, net.constant(np.array(2, np.int32))], [*shape[:2], 1, shape[2]])
        bins = self.length // 2 + 1
        lengths = net.constant(np.array([1, self.length], np.int32))
        y = net.op("RFFT2D", [y, lengths], [1, self.frames, 1, bins], "complex64", kind="Rfft2dOptions")
        shape = [1, self.frames, bins]
        y = net.op("RESHAPE", [y, net.constant(np.array(shape, np.int32))], shape, "complex64")
        if self.magnitude:
            y = net.op("COMPLEX_ABS", [y], shape)
            power = net.op("MUL", [y, y], shape)
        else:
            parts = [net.op(name, [y], shape) for name in ("REAL", "IMAG")]
            power = net.op("ADD", [net.op("SQUARE", [part], shape) for part in parts], shape)
        if self.tapped:
            net.output("power", power)
        net.output("y", self._quantized(net, self._features(net, power)))
        return net.flatbuffer()

    def _features(self, net: Net, power: int) -> int:
        known, shape = self.constants(), [1, self.frames, self.bands]
        if self.matmul:
            y = net.op(
                "BATCH_MATMUL", [power, net.constant(known["filters"])], shape, kind="BatchMatMulOptions"
            )
        else:
            filters = net.constant(np.ascontiguousarray(known["filters"].T))
            floor = [] if self.limited else [net.constant(np.full(self.bands, 1e-3, np.float32))]
            y = net.op("FULLY_CONNECTED", [power, filters, *floor], shape, keepNumDims=True)
        small = net.constant(np.array(1e-3, np.float32))
        if self.limited:
            y = net.op("MAXIMUM", [small, y], shape, kind="MaximumMinimumOptions")
        elif self.matmul:
            y = net.op("ADD", [y, small], shape)
        y = net.op("LOG", [y], shape)
        if self.decibels:
            y = net.op("MUL", [y, net.constant(np.array(10 / np.log(10), np.float32))], shape)
        if self.normalised:
            y = net.op("SUB", [y, net.constant(known["mean"])], shape)
            y = net.op("DIV", [y, net.constant(known["deviation"])], shape)
        if self.peak:
            axes = net.constant(np.array([1, 2], np.int32))
            top = net.op("REDUCE_MAX", [y, axes], [1, 1, 1], kind="ReducerOptions", keepDims=True)
            y = net.op("SUB", [y, top], shape)
        if self.image:
            shape = [*shape, 1]
            y = net.op("RESHAPE", [y, net.constant(np.array(shape, np.int32))], shape)
        return y

    def _quantized(self, net: Net, features: int) -> int:
        shape = [1, self.frames, self.bands, *([1] if self.image else [])]
        y = net.op("QUANTIZE", [features], shape, "int8", (0.1, 20))
        y = net.op("ADD", [y, y], shape, "int8", (0.2, 20))
        return net.op("DEQUANTIZE", [y], shape)
