"""Graphs get shorter and their batch opens, and they compute the same; built and run without TensorFlow."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.load.arrays import Runner, probe
from converters.load.batch import open_batch
from converters.load.tidy import rename, tidy
from edge_sdk.graph import read_graph

CODE = schema.BuiltinOperator


class Builder:
    """A .tflite of one subgraph, operator by operator."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], [self.graph]
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, shape, values=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape = f"t{len(self.graph.tensors)}", list(shape)
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
            tensor.type = schema.TensorType.INT32 if values.dtype == np.int32 else schema.TensorType.FLOAT32
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values, dtype=np.float32):
        values = np.asarray(values, dtype)
        return self.tensor(values.shape, values)

    def __call__(self, code, inputs, shape, options=None, kind=0):
        entry, op = schema.OperatorCodeT(), schema.OperatorT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        self.model.operatorCodes.append(entry)
        output = self.tensor(shape)
        op.opcodeIndex, op.inputs, op.outputs = len(self.model.operatorCodes) - 1, inputs, [output]
        op.builtinOptions, op.builtinOptionsType = options, kind
        self.graph.operators.append(op)
        return output

    def transpose(self, x, axes, shape):
        kind = schema.TransposeOptionsT(), schema.BuiltinOptions.TransposeOptions
        return self(CODE.TRANSPOSE, [x, self.constant(axes, np.int32)], shape, *kind)

    def reshape(self, x, shape):
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        values = [x, self.constant(shape, np.int32)]
        return self(CODE.RESHAPE, values, shape, options, schema.BuiltinOptions.ReshapeOptions)

    def matmul(self, x, weights, shape):
        kind = schema.BatchMatMulOptionsT(), schema.BuiltinOptions.BatchMatMulOptions
        return self(CODE.BATCH_MATMUL, [x, self.constant(weights)], shape, *kind)

    def add(self, x, bias, shape):
        return self(
            CODE.ADD, [x, self.constant(bias)], shape, schema.AddOptionsT(), schema.BuiltinOptions.AddOptions
        )

    def mean(self, x, axes, shape):
        kind = schema.ReducerOptionsT(), schema.BuiltinOptions.ReducerOptions
        return self(CODE.MEAN, [x, self.constant(axes, np.int32)], shape, *kind)

    def relu(self, x, shape):
        return self(CODE.RELU, [x], shape)

    def finish(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def names(flatbuffer):
    return [op.name for op in read_graph(flatbuffer).ops]


def same(one, other):
    before, after = Runner(one, plain=True), Runner(other, plain=True)
    for seed in range(3):
        inputs = probe(before.inputs, seed)
        for mine, theirs in zip(after(inputs), before(inputs), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_moves_that_undo_each_other_become_one_reshape():
    b = Builder()
    x = b.tensor([1, 40, 6])
    y = b.transpose(x, [0, 2, 1], [1, 6, 40])
    y = b.reshape(y, [1, 6, 1, 40])
    y = b.transpose(y, [0, 2, 3, 1], [1, 1, 40, 6])
    y = b.relu(y, [1, 1, 40, 6])
    model = b.finish([x], [y])
    short = tidy(model)
    assert names(short) == ["RESHAPE", "RELU"]
    same(model, short)


def test_moves_that_do_not_are_kept_or_merged():
    b = Builder()
    x = b.tensor([1, 3, 4, 5])
    y = b.transpose(x, [0, 2, 1, 3], [1, 4, 3, 5])
    y = b.transpose(y, [0, 1, 3, 2], [1, 4, 5, 3])
    y = b.reshape(y, [1, 60])
    model = b.finish([x], [y])
    short = tidy(model)
    assert names(short) == ["TRANSPOSE", "RESHAPE"]
    same(model, short)


def test_a_move_that_is_an_output_stays_and_its_undoing_goes():
    b = Builder()
    x = b.tensor([1, 3, 4])
    y = b.transpose(x, [0, 2, 1], [1, 4, 3])
    z = b.transpose(y, [0, 2, 1], [1, 3, 4])
    z = b.relu(z, [1, 3, 4])
    model = b.finish([x], [y, z])
    short = tidy(model)
    assert names(short) == ["TRANSPOSE", "RELU"]
    same(model, short)


def test_a_batch_that_moves_is_not_taken_for_an_axis_of_one():
    b = Builder()
    x = b.tensor([1, 1, 4])
    y = b.transpose(x, [1, 0, 2], [1, 1, 4])
    y = b.relu(y, [1, 1, 4])
    assert names(tidy(b.finish([x], [y]))) == ["TRANSPOSE", "RELU"]


@pytest.mark.parametrize("rank", [2, 3])
def test_products_with_constants_become_layers_with_bias_and_activation(rank):
    b = Builder()
    rng = np.random.default_rng(1)
    lead = [1, 7][: rank - 1]
    x = b.tensor([*lead, 5])
    y = b.matmul(x, rng.normal(size=(5, 3)), [*lead, 3])
    y = b.add(y, rng.normal(size=3), [*lead, 3])
    y = b.relu(y, [*lead, 3])
    model = b.finish([x], [y])
    short = tidy(model)
    assert names(short) == ["FULLY_CONNECTED"]
    assert len(read_graph(short).tensors) == 4
    same(model, short)


def test_a_mean_is_taken_where_the_axes_were():
    b = Builder()
    x = b.tensor([1, 4, 5, 3])
    y = b.transpose(x, [0, 3, 1, 2], [1, 3, 4, 5])
    y = b.mean(y, [2, 3], [1, 3])
    model = b.finish([x], [y])
    short = tidy(model)
    assert names(short) == ["MEAN"]
    same(model, short)


def test_codes_that_no_operator_has_go():
    from converters import rewrite

    b = Builder()
    x = b.tensor([1, 5])
    y = b.relu(b.matmul(x, np.ones((5, 3)), [1, 3]), [1, 3])
    model = rewrite.unpack(tidy(b.finish([x], [y])))
    assert [int(code.builtinCode) for code in model.operatorCodes] == [CODE.FULLY_CONNECTED]


def test_the_originals_names_are_put_in():
    b = Builder()
    x = b.tensor([1, 5])
    model = b.finish([x], [b.relu(x, [1, 5])])
    graph = read_graph(rename(model, ["features"], ["scores"]))
    assert [tensor.name for tensor in graph.tensors] == ["features", "scores"]


def test_a_batch_opens_and_gives_what_its_windows_give():
    b = Builder()
    rng = np.random.default_rng(2)
    x = b.tensor([1, 4, 6])
    y = b.reshape(x, [1, 24])
    y = b.matmul(y, rng.normal(size=(24, 3)), [1, 3])
    model = tidy(b.finish([x], [y]))
    opened = open_batch(model)
    graph = read_graph(opened)
    assert [graph.tensors[i].shape_signature for i in (*graph.inputs, *graph.outputs)] == [
        (-1, 4, 6),
        (-1, 3),
    ]
    assert [graph.tensors[i].shape for i in graph.inputs] == [(1, 4, 6)]
    same(model, opened)
    runner = Runner(opened)
    runner.resize(5)
    inputs = probe(runner.inputs, 3, batch=5)
    whole = np.array(runner(inputs)[0])
    single = Runner(model)
    for n in range(5):
        np.testing.assert_allclose(whole[n], single([inputs[0][n : n + 1]])[0][0], rtol=1e-5)


def test_a_batch_that_takes_part_in_the_computation_stays():
    b = Builder()
    x = b.tensor([1, 4])
    y = b.mean(x, [0], [4])
    y = b.reshape(y, [1, 4])
    assert open_batch(b.finish([x], [y])) is None


def test_a_batch_of_more_than_one_stays():
    b = Builder()
    x = b.tensor([2, 4])
    assert open_batch(b.finish([x], [b.relu(x, [2, 4])])) is None
