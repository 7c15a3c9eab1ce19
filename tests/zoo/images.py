"""Models of clothes: float32 [28, 28, 1] to one of ten, to a mask, or to the picture itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.zoo.data import clothes, enlarged
from tests.zoo.training import Evidence, fit, fresh_keras, save

CLASSES = 10


def tiny_cnn(folder: str) -> str:
    keras = fresh_keras(21)
    layers = keras.layers
    stack = [
        layers.Conv2D(8, 3, strides=2, activation="relu"),
        layers.Conv2D(16, 3, strides=2, activation="relu"),
        layers.Flatten(),
        layers.Dense(CLASSES, activation="softmax"),
    ]
    return _trained(keras.Sequential([keras.Input((28, 28, 1), name="image"), *stack]), folder, "tiny_cnn", 6)


def resnet(folder: str) -> str:
    """ResNet-8: three residual stages with batch normalisation."""
    keras = fresh_keras(22)
    layers = keras.layers

    def normal(x: Any, channels: int, stride: int, kernel: int = 3) -> Any:
        x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization(momentum=0.9)(x)

    image = keras.Input((28, 28, 1), name="image")
    x = layers.ReLU()(normal(image, 8, 2))
    for channels, stride in ((8, 1), (16, 2), (32, 2)):
        y = normal(layers.ReLU()(normal(x, channels, stride)), channels, 1)
        short = x if stride == 1 else normal(x, channels, stride, kernel=1)
        x = layers.ReLU()(layers.Add()([short, y]))
    scores = layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return _trained(keras.Model(image, scores), folder, "resnet", 4)


def mobilenet_v2(folder: str) -> str:
    """Keras' own, width 0.35, on pictures of 56x56x3."""
    keras = fresh_keras(23)
    layers, data = keras.layers, clothes()
    image = keras.Input((56, 56, 3), name="image")
    body = keras.applications.MobileNetV2(
        input_tensor=image, alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    for layer in body.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # its 0.999 would need thousands of steps
    scores = layers.Dense(CLASSES, activation="softmax")(body.output)
    model = keras.Model(image, scores)

    def pictures(x: Any) -> Any:
        return np.broadcast_to(enlarged(x, 2) * 2 - 1, (len(x), 56, 56, 3))

    fit(model, pictures(data.x[:2000]), data.y[:2000], epochs=4, rate=0.004)
    images, labels = pictures(data.test_x[:200]), data.test_y[:200]
    evidence = Evidence({"image": images}, [labels], labels, data.groups[:200])
    return save(model, folder, "mobilenet_v2", evidence)


def mobilenet_v3(folder: str) -> str:
    """Inverted residuals with hard swish, and squeeze and excitation by a hard sigmoid."""
    keras = fresh_keras(24)
    layers = keras.layers

    def swish(x: Any) -> Any:
        return layers.Activation("hard_silu")(layers.BatchNormalization(momentum=0.9)(x))

    def block(x: Any, channels: int, stride: int) -> Any:
        wide = 3 * x.shape[-1]
        y = swish(layers.Conv2D(wide, 1, use_bias=False)(x))
        y = swish(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y))
        gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
        gate = layers.Conv2D(wide // 4, 1, activation="relu")(gate)
        y = layers.Multiply()([y, layers.Conv2D(wide, 1, activation="hard_sigmoid")(gate)])
        y = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(channels, 1, use_bias=False)(y))
        return layers.Add()([x, y]) if y.shape == x.shape else y

    image = keras.Input((28, 28, 1), name="image")
    x = swish(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image))
    for channels, stride in ((8, 1), (16, 2), (16, 1)):
        x = block(x, channels, stride)
    x = layers.GlobalAveragePooling2D()(swish(layers.Conv2D(32, 1, use_bias=False)(x)))
    model = keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x))
    return _trained(model, folder, "mobilenet_v3", 5)


def resized(folder: str) -> str:
    """Pictures of 40x40, 0 to 255, brought to size and range in the graph."""
    keras = fresh_keras(25)
    layers, data = keras.layers, clothes()

    def camera(images: Any) -> Any:
        nearest = np.arange(40) * 28 // 40
        return images[:, nearest][:, :, nearest] * 255

    model = keras.Sequential(
        [
            keras.Input((40, 40, 1), name="image"),
            layers.Resizing(24, 24),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    fit(model, camera(data.x), data.y, epochs=6)
    evidence = Evidence({"image": camera(data.test_x)}, [data.test_y], data.test_y, data.groups)
    return save(model, folder, "resized", evidence)


def unet(folder: str) -> str:
    """Which pixels are clothing and which are noise."""
    keras = fresh_keras(26)
    layers, data = keras.layers, clothes()

    def conv(x: Any, channels: int) -> Any:
        return layers.Conv2D(channels, 3, padding="same", activation="relu")(x)

    image = keras.Input((28, 28, 1), name="image")
    top = conv(image, 8)
    middle = conv(layers.MaxPool2D()(top), 16)
    x = conv(layers.MaxPool2D()(middle), 24)
    x = conv(layers.Concatenate()([layers.UpSampling2D()(x), middle]), 16)
    x = conv(layers.Concatenate()([layers.UpSampling2D()(x), top]), 8)
    model = keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(x))
    x, mask = _noisy(data.x[:1500], seed=1)
    fit(model, x, mask, epochs=4, rate=0.005)
    x, mask = _noisy(data.test_x[:200], seed=2)
    return save(model, folder, "unet", Evidence({"image": x}, [mask], mask, data.groups[:200]))


def decoder(folder: str) -> str:
    """A convolutional autoencoder: strided down, transposed convolutions up."""
    keras = fresh_keras(27)
    layers, data = keras.layers, clothes()
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
        ]
    )
    fit(model, data.x[:2000], data.x[:2000], epochs=4, rate=0.01, loss="mse")
    return save(model, folder, "decoder", Evidence({"image": data.test_x}, [data.test_x], None, data.groups))


def _noisy(images: Any, seed: int) -> tuple[Any, Any]:
    noise = np.random.default_rng(seed).uniform(0, 0.35, images.shape)
    return np.maximum(images, noise).astype(np.float32), (images[..., 0] > 0.1).astype(np.int64)


def _trained(model: Any, folder: str, name: str, epochs: int) -> str:
    data = clothes()
    fit(model, data.x, data.y, epochs=epochs)
    return save(model, folder, name, Evidence.classes(data, "image"))
