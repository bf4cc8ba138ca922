"""Mergeable building blocks: what engines make their summaries from."""
