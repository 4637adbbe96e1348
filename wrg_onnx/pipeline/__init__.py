"""The order of the stages. The face is the functions in ``api/``, which ``wrg_onnx`` re-exports.

They have the names of their files and, some, of files here, so that no ``__init__`` between can
export them: ``pipeline.prune`` would be the function or the file, by who was imported first.
"""
