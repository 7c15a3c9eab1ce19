"""What a model costs where it runs: latency, memory, the machine's state, and whether its answers are right.

    plan      how long is measured, and in how many rounds
    subject   a model file, and what it is given: golden vectors, else noise
    session   one process on the machine that is measured takes the models and times them in turn
    worker    what that process does
    machine   temperature, clocks and throttling of the machine, before, between and after
    record    what was found of one model
    report    what a user sees: parity, percentiles, the comparison with another
    plot      the same as a drawing

A target that models can be measured on has a method ``bench``, see `edge_sdk.targets.Target`.
"""
