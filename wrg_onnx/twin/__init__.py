"""An ONNX graph as a differentiable torch module; with `calibrate.gradients` the only code that knows torch."""
