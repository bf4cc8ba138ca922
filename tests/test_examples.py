"""The examples in the texts of modules, classes and functions give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import andon

# Migrations are run by their tool; Spark's client is in an environment of its own.
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(andon.__path__, "andon.")
    if "migrations" not in module.name and "spark" not in module.name and not module.name.endswith("__main__")
)


@pytest.mark.parametrize("package", sorted({".".join(name.split(".")[:3]) for name in MODULES}))
def test_examples(package: str) -> None:
    for name in MODULES:
        if name == package or (name.startswith(package + ".") and package.count(".") == 2):
            found = doctest.testmod(importlib.import_module(name))
            assert not found.failed, f"{name}: {found.failed} of {found.attempted} examples"


def test_there_are_many() -> None:
    finder = doctest.DocTestFinder()
    assert (
        sum(bool(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
        > 300
    )
