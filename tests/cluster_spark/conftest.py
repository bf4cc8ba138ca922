"""Fixtures of the tests of Spark Connect."""

from spark_server_here import by_threads, plain, sail, spark_captures  # noqa: F401
