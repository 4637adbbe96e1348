"""The Python API: one function per command, with its options as parameters; ``wrg_onnx`` has them.

Its files import little before a function is called: ``--help`` reads the defaults off them.
"""
