"""Battles to token ids: templates, truncation to a budget of tokens, sequences and batches. No torch."""
