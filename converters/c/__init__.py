"""An int8 .tflite as a C library that needs no runtime: bit for bit what TensorFlow Lite Micro computes.

lower        flatbuffer → a flat list of kernel calls with every constant computed
chains       operators that are one function of one int8 together: a table
operators/   one module a family of operators: what each becomes
memory       where every tensor lies in one static arena
emit         the calls as C text
library      the folder: model, the kernels it needs, CMake and Arduino files
estimate     about how many instructions that takes on a core
kernels/     the C kernels, one a file; reference/ the same in numpy
"""
