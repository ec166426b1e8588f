"""Whole-file runs that resume: predict, score, rerank and decide, folders of parts, and the Ray engine."""
