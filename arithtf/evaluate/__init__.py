"""Evaluation: one-pass verification, greedy decoding, solving text, suites, statistics."""
