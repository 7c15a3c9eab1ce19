"""Recurrent models of wrist motion, at half the rate: float32 [32, 6] to one of seven exercises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.zoo.data import motion
from tests.zoo.training import Evidence, fit, fresh_keras, save


def lstm(folder: str) -> str:
    keras = fresh_keras(11)
    return _trained(keras, [keras.layers.LSTM(24)], folder, "lstm")


def stacked_lstm(folder: str) -> str:
    """Both directions, then one."""
    keras = fresh_keras(12)
    layers = keras.layers
    stack = [layers.Bidirectional(layers.LSTM(12, return_sequences=True)), layers.LSTM(16)]
    return _trained(keras, stack, folder, "stacked_lstm")


def gru(folder: str) -> str:
    keras = fresh_keras(13)
    return _trained(keras, [keras.layers.GRU(24)], folder, "gru")


def unrolled_lstm(folder: str) -> str:
    """As users write it to get it through the converter by themselves."""
    keras = fresh_keras(14)
    return _trained(keras, [keras.layers.LSTM(12, unroll=True)], folder, "unrolled_lstm")


def _trained(keras: Any, stack: list[Any], folder: str, name: str) -> str:
    data = motion()
    data = replace(data, x=data.x[:, ::2], test_x=data.test_x[:, ::2])
    head = keras.layers.Dense(7, activation="softmax")
    model = keras.Sequential([keras.Input((32, 6), name="window"), *stack, head])
    fit(model, data.x, data.y, epochs=8, rate=0.01)
    return save(model, folder, name, Evidence.classes(data))
