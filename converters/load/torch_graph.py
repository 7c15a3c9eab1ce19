"""Makes an exported PyTorch graph one that becomes a good .tflite: channels last, one dimension as two.

PyTorch keeps channels first. Asked for channels last at the ends, litert-torch finds its way in between for
two-dimensional layers; around one-dimensional ones it leaves transposes and loose arithmetic. So those become
two-dimensional ones of height one: [N, C, L] becomes [N, C, 1, L] and stays so from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

#: Operations that say of a tensor that its second axis is its channels …
_CHANNELS_FIRST = {
    "conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "batch_norm",
    "instance_norm", "group_norm", "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "upsample_nearest2d",
    "upsample_bilinear2d", "pixel_shuffle",
}  # fmt: skip
#: … and those that work on each element by itself.
_ELEMENTWISE = {
    "relu", "relu_", "relu6", "relu6_", "hardtanh", "hardtanh_", "clamp", "clamp_", "sigmoid", "tanh", "silu",
    "silu_", "gelu", "elu", "elu_", "leaky_relu", "leaky_relu_", "hardswish", "hardswish_", "hardsigmoid",
    "softplus", "dropout", "dropout_", "abs", "neg", "exp", "log", "sqrt", "add", "add_", "sub", "mul",
    "mul_", "div", "contiguous", "clone",
}  # fmt: skip


def is_channels_first(graph: Any, node: Any) -> bool:
    """Whether the first operation with an opinion sees the second axis of this input as channels."""
    return _reaches(node, lambda each: each.users)


def _comes_from_channels_first(node: Any) -> bool:
    return _reaches(node, lambda each: each.all_input_nodes, itself=True)


def _reaches(node: Any, following: Callable[[Any], Iterable[Any]], *, itself: bool = False) -> bool:
    pending, seen = ([node] if itself else list(following(node))), {node}
    while pending:
        each = pending.pop(0)
        if name(each) in _CHANNELS_FIRST:
            return True
        if name(each) in _ELEMENTWISE:
            pending.extend(more for more in following(each) if more not in seen)
            seen.update(following(each))
    return False


def name(node: Any) -> str:
    """Of an aten operation, such as conv1d; empty for everything else."""
    packet = getattr(node.target, "overloadpacket", None) if node.op == "call_function" else None
    return "" if packet is None else str(packet.__name__)


def channels_last(module: Any, inputs: Sequence[str]) -> None:
    """Let a graph module take some inputs, and give its images, channels last.

    Args:
        module: `torch.fx.GraphModule` from an exported program; it is changed.
        inputs: names of placeholders of rank 3 and more to turn.
    """
    lifted = _Lifted(module)
    for node in list(module.graph.nodes):
        if node.op == "placeholder" and node.name in inputs:
            lifted.turn_input(node)
        elif node.op == "call_function":
            lifted.lift(node)
        elif node.op == "output":
            _each_output(node, lifted.turn_output)
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()


def _each_output(node: Any, change: Callable[[Any], Any]) -> None:
    import torch

    node.args = torch.fx.map_arg(node.args, change)


class _Lifted:
    """Knows of which [N, C, L] there is an [N, C, 1, L]."""

    def __init__(self, module: Any) -> None:
        import torch

        self._aten, self._module, self._graph = torch.ops.aten, module, module.graph
        self._flat: dict[Any, Any] = {}
        #: Ranks of the nodes made here, which carry no example value.
        self._ranks: dict[Any, int] = {}

    def turn_input(self, node: Any) -> None:
        rank = self._rank(node)
        users = list(node.users)
        with self._graph.inserting_after(node):
            if rank != 3:
                last = self._call("permute", (node, [0, rank - 1, *range(1, rank - 1)]), rank)
                turned = last
        if rank == 3:
            image = self._after(node, "unsqueeze", (node, 1), 4)
            last = self._after(image, "permute", (image, [0, 3, 1, 2]), 4)
            turned = self._after(last, "squeeze", (last, 2), 3)
            self._flat[turned] = last
        for user in users:
            user.replace_input_with(node, turned)

    def turn_output(self, node: Any) -> Any:
        rank = self._rank(node)
        if node in self._flat:
            image = self._flat[node]
            turned = self._after(image, "permute", (image, [0, 2, 3, 1]), 4)
            return self._after(turned, "squeeze", (turned, 1), 3)
        if rank > 3 and _comes_from_channels_first(node):
            return self._after(node, "permute", (node, [0, *range(2, rank), 1]), rank)
        return node

    def lift(self, node: Any) -> None:
        """Do an operation on [N, C, 1, L] where it is one on [N, C, L]."""
        operation, rank = name(node), self._rank(node)
        if operation == "mean" and rank == 2 and node.args[0] in self and list(node.args[1]) in ([2], [-1]):
            node.args = (self._flat[node.args[0]], [2, 3], *node.args[2:])
            return
        arguments = None
        if operation in _LIFTS and rank == 3:
            arguments = _LIFTS[operation](self, node)
        elif operation in _ELEMENTWISE and rank == 3 and self._all_flat(node):
            arguments = (node.target, tuple(self._flat.get(each, each) for each in node.args))
        if arguments is None:
            return
        target, values = arguments
        with self._graph.inserting_before(node):
            image = self._graph.call_function(target, values, dict(node.kwargs))
            self._ranks[image] = 4
            flat = self._call("squeeze", (image, 2), 3)
        self._flat[flat] = image
        node.replace_all_uses_with(flat)

    def __contains__(self, node: Any) -> bool:
        return node in self._flat

    def _all_flat(self, node: Any) -> bool:
        return bool(node.all_input_nodes) and all(each in self._flat for each in node.all_input_nodes)

    def _rank(self, node: Any) -> int:
        if node in self._ranks:
            return self._ranks[node]
        value: Any = getattr(node, "meta", {}).get("val")
        return getattr(value, "ndim", -1)

    def image(self, node: Any, like: Any) -> Any:
        """The [N, C, 1, L] of a tensor, made where there is none yet."""
        if node not in self._flat:
            with self._graph.inserting_before(like):
                self._flat[node] = self._call("unsqueeze", (node, 2), 4)
        return self._flat[node]

    def kernel(self, node: Any) -> Any:
        """The weights of a convolution with a height of one."""
        value = self._module
        for part in node.target.split("."):
            value = getattr(value, part)
        import torch

        place = node.target.replace(".", "_") + "_2d"
        if not hasattr(self._module, place):
            self._module.register_parameter(
                place, torch.nn.Parameter(value.detach().unsqueeze(2), requires_grad=False)
            )
        with self._graph.inserting_before(node):
            return self._graph.get_attr(place)

    def _call(self, operation: str, arguments: tuple[Any, ...], rank: int) -> Any:
        overload = "dim" if operation == "squeeze" else "default"
        target = getattr(getattr(self._aten, operation), overload)
        made = self._graph.call_function(target, arguments)
        self._ranks[made] = rank
        return made

    def _after(self, node: Any, operation: str, arguments: tuple[Any, ...], rank: int) -> Any:
        with self._graph.inserting_after(node):
            return self._call(operation, arguments, rank)


def _pair(value: Any, height: int) -> list[int]:
    return [height, *(value if isinstance(value, list | tuple) else [value])]


def _defaulted(arguments: Sequence[Any], defaults: Sequence[Any]) -> list[Any]:
    return [*arguments, *defaults[len(arguments) :]]


def _conv(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]] | None:
    import torch

    x, weight, bias, stride, padding, dilation, groups = _defaulted(node.args, [None, None, None, 1, 0, 1, 1])
    if weight.op != "get_attr":
        return None
    values = (
        lifted.image(x, node), lifted.kernel(weight), bias, _pair(stride, 1),
        padding if isinstance(padding, str) else _pair(padding, 0), _pair(dilation, 1), groups,
    )  # fmt: skip
    overload = "padding" if isinstance(padding, str) else "default"
    return getattr(torch.ops.aten.conv2d, overload), values


def _same(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]]:
    return node.target, (lifted.image(node.args[0], node), *node.args[1:])


def _max_pool(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]]:
    import torch

    x, kernel, stride, padding, dilation, ceil = _defaulted(node.args, [None, None, [], 0, 1, False])
    values = (
        lifted.image(x, node), _pair(kernel, 1), _pair(stride or kernel, 1), _pair(padding, 0),
        _pair(dilation, 1), ceil,
    )  # fmt: skip
    return torch.ops.aten.max_pool2d.default, values


def _average_pool(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]]:
    import torch

    x, kernel, stride, padding, ceil, include = _defaulted(node.args, [None, None, [], 0, False, True])
    image = lifted.image(x, node)
    values = (image, _pair(kernel, 1), _pair(stride or kernel, 1), _pair(padding, 0), ceil, include)
    return torch.ops.aten.avg_pool2d.default, values


def _adaptive_pool(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]]:
    import torch

    image = lifted.image(node.args[0], node)
    return torch.ops.aten.adaptive_avg_pool2d.default, (image, _pair(node.args[1], 1))


def _transposed_conv(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]] | None:
    import torch

    defaults = [None, None, None, 1, 0, 0, 1, 1]
    x, weight, bias, stride, padding, more, groups, dilation = _defaulted(node.args, defaults)
    if weight.op != "get_attr":
        return None
    values = (
        lifted.image(x, node), lifted.kernel(weight), bias, _pair(stride, 1), _pair(padding, 0),
        _pair(more, 0), groups, _pair(dilation, 1),
    )  # fmt: skip
    return torch.ops.aten.conv_transpose2d.input, values


def _pad(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """Along the last axis only, which padding counts from."""
    return _same(lifted, node) if len(node.args[1]) == 2 else None


def _slice(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]] | None:
    x, axis, *rest = _defaulted(node.args, [None, 0])
    return (node.target, (lifted.image(x, node), 3, *rest)) if axis in (2, -1) and x in lifted else None


def _concatenate(lifted: _Lifted, node: Any) -> tuple[Any, tuple[Any, ...]] | None:
    parts, axis = _defaulted(node.args, [None, 0])
    axes = {1: 1, -2: 1, 2: 3, -1: 3}
    if axis not in axes or not any(each in lifted for each in parts):
        return None
    return node.target, ([lifted.image(each, node) for each in parts], axes[axis])


_Lift = Callable[[_Lifted, Any], tuple[Any, tuple[Any, ...]] | None]
_LIFTS: dict[str, _Lift] = {
    "conv1d": _conv,
    "conv_transpose1d": _transposed_conv,
    "batch_norm": _same,
    "max_pool1d": _max_pool,
    "avg_pool1d": _average_pool,
    "adaptive_avg_pool1d": _adaptive_pool,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "slice": _slice,
    "cat": _concatenate,
}
