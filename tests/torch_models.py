"""Real PyTorch models, built inside the environment of the PyTorch loader.

Each function without arguments is a ``module:function`` as a user would write it: it returns the model and
its example inputs. `export(name, path)`, called through `edge_sdk.child`, writes the same model as a .pt2.
"""

from __future__ import annotations

from typing import Any

Made = tuple[Any, tuple[Any, ...]]


def _layers() -> Any:
    import torch

    torch.manual_seed(7)
    return torch.nn


def _lively(model: Any) -> Any:
    """BatchNorm statistics as after training, so that leaving them out would show."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
    return model.eval()


def image() -> Made:
    """A residual network on an image [N, 3, 16, 16]."""
    import torch

    nn = _layers()

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
            self.block = nn.Sequential(
                nn.Conv2d(8, 8, 3, 1, 1),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.Conv2d(8, 8, 3, 1, 1),
                nn.BatchNorm2d(8),
            )
            self.head = nn.Linear(8, 5)

        def forward(self, image: Any) -> Any:
            x = self.stem(image)
            x = torch.relu(x + self.block(x))
            x = torch.max_pool2d(x, 2)
            return torch.softmax(self.head(x.mean(dim=(2, 3))), dim=1)

    return _lively(Residual()), (torch.randn(1, 3, 16, 16),)


def depthwise() -> Made:
    """A depthwise-separable network whose output is an image again."""
    import torch

    nn = _layers()
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6()]
    for _ in range(2):
        layers += [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6()]
        layers += [nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU6()]
    layers += [nn.Conv2d(8, 2, 1)]
    return _lively(nn.Sequential(*layers)), (torch.randn(1, 1, 12, 10),)


def sensor() -> Made:
    """Conv1D on a window [N, C, L]."""
    import torch

    nn = _layers()
    model = nn.Sequential(
        nn.Conv1d(6, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(),
        nn.Conv1d(8, 12, 3, padding=2, dilation=2), nn.BatchNorm1d(12), nn.ReLU(),
        nn.MaxPool1d(2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip
    return _lively(model), (torch.randn(1, 6, 40),)


def causal() -> Made:
    """A temporal convolutional network on [N, C, L]: padded on one side or cut at the end, with shortcuts."""
    import torch

    nn = _layers()

    class Block(nn.Module):
        def __init__(self, given: int, made: int, step: int, *, cut: bool) -> None:
            super().__init__()
            self.reach, self.cut = 2 * step, cut
            self.conv = nn.Conv1d(given, made, 3, padding=self.reach if cut else 0, dilation=step)
            self.norm, self.way = nn.BatchNorm1d(made), nn.Conv1d(given, made, 1)

        def forward(self, x: Any) -> Any:
            padded = x if self.cut else nn.functional.pad(x, (self.reach, 0))
            y = self.conv(padded)
            y = y[:, :, : -self.reach] if self.cut else y
            return torch.relu(self.norm(y) + self.way(x))

    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(Block(6, 8, 1, cut=False), Block(8, 8, 2, cut=True))
            self.head = nn.Linear(16, 4)

        def forward(self, window: Any) -> Any:
            x = self.body(window)
            return self.head(torch.cat([x, torch.tanh(x)], dim=1).mean(dim=-1))

    return _lively(Causal()), (torch.randn(1, 6, 40),)


def restored() -> Made:
    """An autoencoder of windows [N, C, L], whose output is a window again."""
    import torch

    nn = _layers()
    model = nn.Sequential(
        nn.Conv1d(3, 8, 4, 2, 1), nn.LeakyReLU(0.1), nn.AvgPool1d(2), nn.ReLU(),
        nn.ConvTranspose1d(8, 8, 4, 2, 1), nn.BatchNorm1d(8), nn.ReLU(), nn.ConvTranspose1d(8, 3, 4, 2, 1),
    )  # fmt: skip
    return _lively(model), (torch.randn(1, 3, 32),)


def flattened() -> Made:
    """An image network that flattens its features: the order of the weights depends on the layout."""
    import torch

    nn = _layers()
    model = nn.Sequential(nn.Conv2d(2, 6, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4 * 5, 3))
    return _lively(model), (torch.randn(1, 2, 8, 10),)


def mlp() -> Made:
    """Three dense layers."""
    import torch

    nn = _layers()
    model = nn.Sequential(
        nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3), nn.Sigmoid()
    )
    return model.eval(), (torch.randn(1, 10),)


def sequence() -> Made:
    """Dense layers along time on [N, T, F]: a rank-3 input that is the device's layout already."""
    import torch

    nn = _layers()

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(5, 8), nn.Linear(8, 4)

        def forward(self, steps: Any) -> Any:
            return self.second(torch.relu(self.first(steps))).mean(dim=1)

    return Steps().eval(), (torch.randn(1, 12, 5),)


def several() -> Made:
    """Two inputs of unlike layouts, three outputs, two of the same shape."""
    import torch

    nn = _layers()

    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.heat, self.numbers = nn.Conv2d(8, 2, 1), nn.Linear(4, 6)
            self.zone, self.alarm = nn.Linear(14, 3), nn.Linear(14, 3)

        def forward(self, numbers: Any, image: Any) -> dict[str, Any]:
            x = self.stem(image)
            both = torch.cat([x.mean(dim=(2, 3)), torch.relu(self.numbers(numbers))], dim=1)
            return {"zone": self.zone(both), "heat": self.heat(x), "alarm": torch.sigmoid(self.alarm(both))}

    return _lively(Several()), (torch.randn(1, 4), torch.randn(1, 3, 8, 8))


def square() -> Made:
    """An image whose layout its shape does not tell: [N, 4, 4, 4]."""
    import torch

    nn = _layers()
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1))
    return model.eval(), (torch.randn(1, 4, 4, 4),)


def recurrent() -> Made:
    """An LSTM over [N, T, F]."""
    import torch

    nn = _layers()

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, steps: Any) -> Any:
            return self.head(self.cell(steps)[0][:, -1])

    return Recurrent().eval(), (torch.randn(1, 10, 4),)


def integers() -> Made:
    """An embedding: its input is int64."""
    import torch

    nn = _layers()

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(20, 6), nn.Linear(6, 2)

        def forward(self, words: Any) -> Any:
            return self.head(self.table(words).mean(dim=1))

    return Words().eval(), (torch.randint(0, 20, (1, 7)),)


def as_attribute() -> Any:
    """The model alone, which carries its example inputs."""
    model, example = mlp()
    model.example_inputs = example
    return model


def by_argument() -> tuple[Any, dict[str, Any]]:
    """The example inputs by argument."""
    model, (numbers, image_) = several()
    return model, {"numbers": numbers, "image": image_}


def training() -> Made:
    """Left in training mode, with dropout: the loader evaluates it."""
    model, example = image()
    return model.train(), example


def unsupported() -> Made:
    """An operation that no TFLite runtime has."""
    import torch

    class Eigenvalues(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.linalg.eigvalsh(x)

    return Eigenvalues(), (torch.randn(1, 3, 3),)


def data_dependent() -> Made:
    """Control flow that depends on the data cannot be exported."""
    import torch

    class Branch(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x + 1 if x.sum() > 0 else x - 1

    return Branch(), (torch.randn(1, 3),)


def not_a_number() -> Made:
    """A weight is NaN, as after a training that diverged."""
    model, example = mlp()
    model[0].weight.data[0, 0] = float("nan")
    return model, example


def no_model() -> str:
    """Returns something else."""
    return "a model"


def broken() -> Made:
    """Raises."""
    raise RuntimeError("the weights are\nnot here")


def versions() -> dict[str, str]:
    """What the environment has."""
    from importlib import metadata

    return {name: metadata.version(name) for name in ("torch", "litert-torch", "numpy")}


def export(name: str, path: str, batch: str | None = None) -> str:
    """Export the model called `name` into a .pt2, with a dynamic batch of that name."""
    import torch

    model, example = globals()[name]()
    shapes = None
    if batch is not None:
        example = tuple(torch.cat([value, value]) for value in example)
        shapes = tuple({0: torch.export.Dim(batch)} for _ in example)
    torch.export.save(torch.export.export(model.eval(), example, dynamic_shapes=shapes), path)
    return path


def load_carelessly(path: str) -> None:
    """Load a .pt2 as PyTorch does."""
    import contextlib

    import torch

    with contextlib.suppress(Exception):
        torch.export.load(path)


def export_malicious(path: str, touched: str, where: str) -> str:
    """A .pt2 with a pickle that makes the file `touched` when it is loaded."""
    import io
    import json
    import pathlib
    import pickle
    import zipfile

    import torch

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return pathlib.Path.touch, (pathlib.Path(touched),)

    export("mlp", path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(members)).partition("/")[0]
    saved = io.BytesIO()
    torch.save(Payload(), saved)
    if where == "sample_inputs":
        members[f"{root}/data/sample_inputs/model.pt"] = saved.getvalue()
    elif where == "weights":
        config = f"{root}/data/weights/model_weights_config.json"
        facts = json.loads(members[config])
        first = next(iter(facts["config"].values()))
        first["use_pickle"] = True
        members[config] = json.dumps(facts).encode()
        members[f"{root}/data/weights/{first['path_name']}"] = saved.getvalue()
    elif where == "opaque":
        members[f"{root}/data/constants/model_constants_config.json"] = json.dumps(
            {
                "config": {
                    "x": {
                        "path_name": "opaque_obj_0",
                        "is_param": False,
                        "use_pickle": True,
                        "tensor_meta": None,
                    }
                }
            }
        ).encode()
        members[f"{root}/data/constants/opaque_obj_0"] = pickle.dumps(Payload())
    elif where == "legacy":
        members[f"{root}/data/weights/model.pt"] = saved.getvalue()
    else:
        raise ValueError(where)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
