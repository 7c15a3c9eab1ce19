"""A model on an array: no sensor, no thread, nothing hidden."""

import numpy as np

from edge_sdk import Model

with Model.load("motion.tflite") as model:  # verified once, then trusted by digest
    window = np.zeros(model.input_shape, np.float32)  # [100, 3]: its contract says of what
    window[:, model.channels.index("az")] = 1.0  # g: it lies still
    prediction = model.run(window)
    print(prediction.label, prediction.score)
    print(dict(zip(model.labels, prediction.outputs.tolist(), strict=True)))
