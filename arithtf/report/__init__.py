"""The report of a run: plots and one HTML file that needs no network."""

from arithtf.report.build import build_page, write_report

__all__ = ["build_page", "write_report"]
