"""The tests, as a package of its own name: another distribution may install a package `tests` too."""
