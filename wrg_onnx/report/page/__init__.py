"""A report as one HTML page, which loads nothing and needs no script to be read."""

from wrg_onnx.report.page.of_pair import to_html_of_two
from wrg_onnx.report.page.of_report import to_html
from wrg_onnx.report.page.write import check_page, write_html, write_page

__all__ = ["check_page", "to_html", "to_html_of_two", "write_html", "write_page"]
