"""The audit of a judge on votes: what it can be trusted with, where it fails, and what it favours; numbers only."""

from votecast.reports.audit.auditing import audit_judge
from votecast.reports.audit.result import Audit

__all__ = ["Audit", "audit_judge"]
