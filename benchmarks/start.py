"""From process start to the first result, and peak memory: edge_sdk, bare LiteRT, and full TensorFlow."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.measure import Row, processes, ratio

_BARE = """
import sys
import numpy as np
{imports}
i = Interpreter(model_path=sys.argv[1], num_threads=1)
i.allocate_tensors()
i.set_tensor(i.get_input_details()[0]['index'], np.zeros(i.get_input_details()[0]['shape'], np.float32))
i.invoke()
i.get_tensor(i.get_output_details()[0]['index'])
"""
_OURS = """
import sys
import numpy as np
from edge_sdk import Model
model = Model.load(sys.argv[1])
model.run(np.zeros(model.input_shape, np.float32))
"""
_TENSORFLOW = "import tensorflow\nInterpreter = tensorflow.lite.Interpreter"
_CONTRACT = "import numpy\nfrom edge_sdk.contract import Contract\n"
_READ = "import sys\nfrom edge_sdk import read_contract\nassert read_contract(sys.argv[2])\n"


def rows(model: Path, packed: Path) -> list[Row]:
    """Two rows against bare LiteRT, one against TensorFlow, one for reading a contract alone."""
    scripts = {
        "ours": _OURS,
        "bare": _BARE.format(imports="from ai_edge_litert.interpreter import Interpreter"),
        "numpy": "import numpy",
        "contract": _CONTRACT,
        "read": _READ,
        "msgspec": _CONTRACT + "import msgspec\n",
    }
    taken = processes(15, scripts, str(model), str(packed))
    times = {name: [t for t, _ in measured] for name, measured in taken.items()}
    memory = {name: statistics.median(m for _, m in measured) for name, measured in taken.items()}
    slow = processes(2, {"tensorflow": _BARE.format(imports=_TENSORFLOW)}, str(model))["tensorflow"]
    tensorflow_s = statistics.median(t for t, _ in slow)
    tensorflow_mb = statistics.median(m for _, m in slow)
    ms = {name: statistics.median(values) * 1e3 for name, values in times.items()}
    slower = ratio(times["ours"], times["bare"])
    more = memory["ours"] - memory["bare"]
    msgspec_ms = statistics.median(
        (a - b) * 1e3 for a, b in zip(times["msgspec"], times["contract"], strict=True)
    )
    return [
        Row(
            "start to first result, verified before, over numpy + LiteRT",
            f"{ms['ours']:.0f} ms",
            f"{ms['bare']:.0f} ms",
            f"{slower:.2f}×",
            "≤ 1.3×",
            slower <= 1.3,
        ),
        Row(
            "peak memory of the same",
            f"{memory['ours']:.1f} MB",
            f"{memory['bare']:.1f} MB",
            f"{more:+.1f} MB",
            "≤ +15 MB",
            more <= 15,
        ),
        Row(
            "start to first result over tf.lite in TensorFlow",
            f"{ms['ours']:.0f} ms, {memory['ours']:.0f} MB",
            f"{tensorflow_s * 1e3:.0f} ms, {tensorflow_mb:.0f} MB",
            f"{ms['ours'] / 1e3 / tensorflow_s:.3f}×, {memory['ours'] / tensorflow_mb:.3f}×",
        ),
        Row("of it: numpy alone", f"{ms['numpy']:.0f} ms", "", ""),
        Row(
            "read a contract from a file, checked, no runtime, over import numpy",
            f"{ms['read']:.0f} ms",
            f"{ms['numpy']:.0f} ms",
            f"{ratio(times['read'], times['numpy']):.2f}×",
        ),
        Row("msgspec on that path would cost", f"{msgspec_ms:.0f} ms", "", f"{msgspec_ms / ms['bare']:.2f}×"),
    ]
