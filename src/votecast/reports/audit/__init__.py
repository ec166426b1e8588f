"""The audit of a judge on votes as numbers: accuracy, calibration, slices and biases.

Called by `votecast report`; `votecast.reports.audit_page` lays it out.
"""

from votecast.reports.audit.audit_result import Audit
from votecast.reports.audit.judge_audit import audit_judge

__all__ = ["Audit", "audit_judge"]
