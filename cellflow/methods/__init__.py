"""Names of what exists, where it comes from, and the settings of a fit. Loads no torch.

`names` and `protocols` are light enough for the help of the command line; `recipes` loads pydantic.
"""
