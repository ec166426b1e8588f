"""From battles to token ids: templates, cuts under a budget of tokens, sequences and batches. No torch."""
