"""Settings of a fit: methods, their parts, and recipes. Does not load torch.

`names` and `presets` are light enough for the help of the command line; the others load pydantic.
"""
