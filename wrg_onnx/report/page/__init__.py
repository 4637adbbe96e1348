"""A report as one HTML page, which loads nothing and needs no script to be read."""

from wrg_onnx.report.page.of_report import to_html

__all__ = ["to_html"]
