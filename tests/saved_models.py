"""SavedModels for the loader's tests, well-meant and not; they are made in a process with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.keras_models import RECURRENT, keras_2, keras_3

#: Ranges of the quantization-aware model: of its input, and of each layer's output.
RANGES = {"input": (-2.0, 2.5), "convolution": (0.0, 3.0), "mean": (0.0, 2.0), "scores": (-6.0, 5.0)}


def write(name: str, folder: str, trap: str = "") -> None:
    """Save a SavedModel; hostile ones write to or read from `trap`."""
    import tensorflow as tf

    if name in KERAS:
        KERAS[name]().export(folder)
    elif name in HOSTILE:
        module = tf.Module()
        module.w = tf.Variable(tf.eye(4))
        HOSTILE[name](tf, module, trap)
        tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
    else:
        PLAIN[name](tf, folder)


def _module(tf: Any, spec: Any, function: Callable[[Any, Any], Any]) -> Any:
    module = tf.Module()
    module.w = tf.Variable(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32), name="kernel")
    module.serve = tf.function(lambda x: {"y": function(module.w, x)}, input_signature=[spec])
    return module


def _several(tf: Any, folder: str) -> None:
    module = tf.Module()
    module.w = tf.Variable(np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))
    four = tf.TensorSpec([None, 4], tf.float32)

    @tf.function(input_signature=[four, tf.TensorSpec([None, 3], tf.float32)])
    def both(zeta: Any, alpha: Any) -> Any:
        product = zeta @ module.w
        return {"sum": product + alpha, "difference": product - alpha, "b": tf.reduce_sum(zeta, 1)}

    module.both = both
    module.one = tf.function(lambda x: {"y": x @ module.w}, input_signature=[four])
    tf.saved_model.save(module, folder, signatures={"both": module.both, "one": module.one})


def _one(name: str, spec: Callable[[Any], Any], function: Callable[..., Any]) -> Callable[[Any, str], None]:
    def build(tf: Any, folder: str) -> None:
        module = _module(tf, spec(tf), lambda w, x: function(tf, w, x))
        tf.saved_model.save(module, folder, signatures={name: module.serve})

    return build


def _version_1(tf: Any, folder: str) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("w", initializer=np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32))
        y = tf.matmul(x, w)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, folder, {"x": x}, {"y": y})


def _poison(tf: Any, folder: str) -> None:
    module = _module(tf, tf.TensorSpec([None, 4], tf.float32), lambda w, x: x @ w)
    module.w[0, 0].assign(np.nan)
    tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})


def _no_signature(tf: Any, folder: str) -> None:
    module = tf.Module()
    module.w = tf.Variable(1.0)
    tf.saved_model.save(module, folder)


def _gru_of_one(tf: Any, folder: str) -> None:
    model = RECURRENT["gru"](keras_3())
    model.export(folder, verbose=False, input_signature=[tf.TensorSpec([1, 20, 6], tf.float32)])


PLAIN: dict[str, Callable[[Any, str], None]] = {
    "dense": _one(
        "serving_default", lambda tf: tf.TensorSpec([None, 4], tf.float32, "x"), lambda tf, w, x: x @ w
    ),
    "other_name": _one("run", lambda tf: tf.TensorSpec([None, 4], tf.float32, "x"), lambda tf, w, x: x @ w),
    "batch_of_one": _one("run", lambda tf: tf.TensorSpec([1, 4], tf.float32, "x"), lambda tf, w, x: x @ w),
    "batch_of_eight": _one("run", lambda tf: tf.TensorSpec([8, 4], tf.float32, "x"), lambda tf, w, x: x @ w),
    "open_size": _one(
        "run",
        lambda tf: tf.TensorSpec([None, None, 4], tf.float32, "x"),
        lambda tf, w, x: tf.reduce_mean(x @ w, 1),
    ),
    "any_rank": _one(
        "run", lambda tf: tf.TensorSpec(None, tf.float32, "x"), lambda tf, w, x: tf.reduce_sum(x) * w
    ),
    "scalar": _one("run", lambda tf: tf.TensorSpec([], tf.float32, "x"), lambda tf, w, x: x * w),
    "text": _one(
        "run", lambda tf: tf.TensorSpec([None], tf.string, "x"), lambda tf, w, x: tf.strings.length(x)
    ),
    "several": _several,
    "keras_gru_of_one": _gru_of_one,
    "version_1": _version_1,
    "not_a_number": _poison,
    "no_signature": _no_signature,
    "unsupported": _one(
        "run",
        lambda tf: tf.TensorSpec([None, 4, 4], tf.float32, "x"),
        lambda tf, w, x: tf.linalg.inv(x + 9 * tf.eye(4)),
    ),
}


def _serve(tf: Any, module: Any, body: Callable[[Any], Any]) -> None:
    module.serve = tf.function(
        lambda x: {"y": body(x) @ module.w}, input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")]
    )


def _writes(tf: Any, module: Any, trap: str) -> None:
    def body(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(trap, "written")]):
            return tf.identity(x)

    _serve(tf, module, body)


def _reads(tf: Any, module: Any, trap: str) -> None:
    _serve(tf, module, lambda x: x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32))


def _prints(tf: Any, module: Any, trap: str) -> None:
    def body(x: Any) -> Any:
        with tf.control_dependencies([tf.print("written", output_stream=f"file://{trap}")]):
            return tf.identity(x)

    _serve(tf, module, body)


def _python(tf: Any, module: Any, trap: str) -> None:
    _serve(tf, module, lambda x: tf.ensure_shape(tf.numpy_function(lambda a: a, [x], tf.float32), [None, 4]))


def _table(tf: Any, module: Any, trap: str) -> None:
    Path(trap).write_text("a\nb\n")
    words = tf.lookup.TextFileInitializer(trap, tf.int64, -1, tf.string, 0)
    module.table = tf.lookup.StaticHashTable(words, "?")
    _serve(
        tf,
        module,
        lambda x: (
            x + tf.cast(tf.strings.length(module.table.lookup(tf.cast(x[:, :1], tf.int64))), tf.float32)
        ),
    )


def _memory_map(tf: Any, module: Any, trap: str) -> None:
    _serve(
        tf,
        module,
        lambda x: (
            x + tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=[4], memory_region_name="/etc/hostname")
        ),
    )


def _saves(tf: Any, module: Any, trap: str) -> None:
    def body(x: Any) -> Any:
        saving = tf.raw_ops.SaveV2(prefix=trap, tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        with tf.control_dependencies([saving]):
            return tf.identity(x)

    _serve(tf, module, body)


def _restores(tf: Any, module: Any, trap: str) -> None:
    _serve(
        tf,
        module,
        lambda x: (
            x
            + tf.raw_ops.RestoreV2(
                prefix=trap, tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
            )[0]
        ),
    )


def _elsewhere(tf: Any, module: Any, trap: str) -> None:
    """A function that no signature calls, but that loading the model may."""

    def other() -> None:
        tf.io.write_file(trap, "written")

    module.other = tf.function(other, input_signature=[])
    module.other.get_concrete_function()
    _serve(tf, module, lambda x: x)


HOSTILE: dict[str, Callable[[Any, Any, str], None]] = {
    "WriteFile": _writes,
    "ReadFile": _reads,
    "PrintV2": _prints,
    "PyFunc": _python,
    "LookupTable|HashTable": _table,
    "ImmutableConst": _memory_map,
    "SaveV2": _saves,
    "RestoreV2": _restores,
    "WriteFile, elsewhere": _elsewhere,
}


def redirect_restore(folder: str) -> None:
    """Let what TensorFlow runs to restore the variables be what saves them."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = Path(folder, "saved_model.pb")
    saved = SavedModel()
    saved.ParseFromString(file.read_bytes())
    definition = saved.meta_graphs[0].saver_def
    definition.restore_op_name = definition.save_tensor_name.partition(":")[0]
    file.write_bytes(saved.SerializeToString())


def rename_op(folder: str, old: str, new: str) -> None:
    """Another operator in place of one."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = Path(folder, "saved_model.pb")
    saved = SavedModel()
    saved.ParseFromString(file.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = new if node.op == old else node.op
    file.write_bytes(saved.SerializeToString())


def _quantization_aware(trained: bool = True) -> Any:
    """Own layers with TensorFlow's fake-quantization, as Keras 3 users write them, trained."""
    k = keras_3()
    import tensorflow as tf

    layers, initial = k.layers, k.initializers.Constant

    class Range(layers.Layer):  # type: ignore[name-defined, misc]
        def __init__(self, low: float, high: float, **options: Any) -> None:
            super().__init__(**options)
            self.ends = low, high

        def build(self, shape: Any) -> None:
            self.low, self.high = (
                self.add_weight(shape=(), initializer=initial(end), trainable=False) for end in self.ends
            )

        def call(self, x: Any) -> Any:
            return tf.quantization.fake_quant_with_min_max_vars(x, self.low, self.high)

    class Convolution(layers.Layer):  # type: ignore[name-defined, misc]
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(3, 3, shape[-1], 8), name="kernel")
            self.bias = self.add_weight(shape=(8,), name="bias")

        def call(self, x: Any) -> Any:
            most = tf.reduce_max(tf.abs(self.kernel), axis=(0, 1, 2))
            kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(
                self.kernel, -most, most, narrow_range=True
            )
            return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), self.bias))

    class Dense(layers.Layer):  # type: ignore[name-defined, misc]
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")
            self.bias = self.add_weight(shape=(4,), name="bias")

        def call(self, x: Any) -> Any:
            most = tf.reduce_max(tf.abs(self.kernel))
            kernel = tf.quantization.fake_quant_with_min_max_vars(self.kernel, -most, most, narrow_range=True)
            return tf.matmul(x, kernel) + self.bias

    x = k.Input((8, 8, 1), name="image")
    y = Range(*RANGES["convolution"])(Convolution()(Range(*RANGES["input"])(x)))
    y = Range(*RANGES["mean"])(layers.AveragePooling2D(4)(y))
    model = k.Model(x, Range(*RANGES["scores"])(Dense()(layers.Reshape((32,))(y))))
    if trained:
        model.compile(k.optimizers.Adam(0.01), k.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(*quarters(800, 1), epochs=12, verbose=0)
    return model


def quarters(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise float32 [n, 8, 8, 1] with one brighter quarter, and which it is."""
    rng = np.random.default_rng(seed)
    images, labels = rng.normal(0, 0.6, (n, 8, 8, 1)), rng.integers(0, 4, n)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 0.7
    return images.astype(np.float32), labels


KERAS: dict[str, Callable[[], Any]] = {
    "quantization_aware": _quantization_aware,
    "keras_gru": lambda: RECURRENT["gru"](keras_3()),
    "keras_2_lstm": lambda: RECURRENT["lstm"](keras_2()),
}


def write_fake_quantized_keras(file: str) -> None:
    """A .keras whose activations are fake-quantized by Keras' own operation, ranges fixed."""
    k = keras_3()
    x = k.Input((4,), name="x")
    y = k.quantizers.fake_quant_with_min_max_vars(x, -2.0, 2.0)
    y = k.layers.Dense(8, activation="relu")(y)
    y = k.quantizers.fake_quant_with_min_max_vars(y, 0.0, 4.0)
    y = k.layers.Dense(3)(y)
    k.Model(x, k.quantizers.fake_quant_with_min_max_vars(y, -4.0, 4.0)).save(file)
