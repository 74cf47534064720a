"""Readers of image data, one per format, each with `recognises` and `source`."""
