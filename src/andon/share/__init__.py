"""Findings in the words of others: what can be sent to another team, and read by tools we did not write."""
