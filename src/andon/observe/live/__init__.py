"""Sources that do not end: an interface, a folder that captures are rotated into, a stream on standard input."""
