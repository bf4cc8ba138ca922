"""Graphs of two kinds of nodes, such as terminals and destinations: layout, inference of guilt, and baselines."""

from andon.sketch.bipartite.graph import Graph, build

__all__ = ["Graph", "build"]
