"""Report: one HTML file with all there is to see of generated images against real ones."""

from streaming_metrics.report.charts import check_charts as check_charts
from streaming_metrics.report.explanation import write_explanation as write_explanation
from streaming_metrics.report.page import comparison_history as comparison_history
from streaming_metrics.report.page import rendered as rendered
from streaming_metrics.report.page import write_comparison as write_comparison
from streaming_metrics.report.page import write_report as write_report
from streaming_metrics.report.page import write_study as write_study
