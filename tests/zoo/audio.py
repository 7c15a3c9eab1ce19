"""Models of spoken digits, from features or from the samples themselves."""

from __future__ import annotations

from typing import Any

from tests.zoo.data import AUDIO_RATE_HZ, SAMPLES, speech, spoken_features
from tests.zoo.training import Evidence, fit, fresh_keras, save


def ds_cnn(folder: str) -> str:
    """Keyword spotting: depthwise separable convolutions on log-mel features, float32 [49, 32, 1]."""
    keras = fresh_keras(31)
    layers, data = keras.layers, spoken_features()
    stack: list[Any] = [layers.Conv2D(24, (10, 4), strides=2, padding="same", use_bias=False)]
    for stride in (2, 1, 1):
        stack += [layers.BatchNormalization(momentum=0.9), layers.ReLU()]
        stack += [
            layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
        stack += [layers.Conv2D(24, 1, use_bias=False)]
    stack += [layers.BatchNormalization(momentum=0.9), layers.ReLU(), layers.GlobalAveragePooling2D()]
    head = layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.Input((49, 32, 1), name="features"), *stack, head])
    fit(model, data.x, data.y, epochs=9, rate=0.01)
    return save(model, folder, "ds_cnn", Evidence.classes(data, "features"))


def log_mel(folder: str) -> str:
    """The spectrogram in the graph: float32 [8000], -1 to 1."""
    keras = fresh_keras(32)
    layers, data = keras.layers, speech()
    spectrum = layers.MelSpectrogram(
        fft_length=256, sequence_stride=160, num_mel_bins=32, sampling_rate=AUDIO_RATE_HZ, max_freq=3800
    )
    normal = layers.Rescaling(1 / 20, offset=1.0)
    tail = keras.Sequential(
        [
            layers.Reshape((32, 51, 1)),
            layers.Conv2D(12, (4, 10), strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    pcm = keras.Input((SAMPLES,), name="pcm")
    ahead = keras.Model(pcm, normal(spectrum(pcm)))
    # Nothing is learned in front: its features are computed once, and one by one as on a device, because
    # MelSpectrogram cuts off 80 dB below the loudest sound of the whole batch.
    features = ahead.predict(data.x, batch_size=1, verbose=0)
    fit(tail, features, data.y, epochs=6)
    model = keras.Model(pcm, tail(ahead.output))
    return save(model, folder, "log_mel", Evidence.classes(data, "pcm"))
