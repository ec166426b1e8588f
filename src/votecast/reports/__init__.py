"""Reports: the audit of a judge, and pages of votes, audits, leaderboards and cascades.

Each page is one HTML file that works offline; the verbs report, rank and cascade write them.
"""
