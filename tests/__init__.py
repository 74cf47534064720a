"""A package, since some packages install a `tests` of their own, which would be found first."""
