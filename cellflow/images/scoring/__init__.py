"""Scores of generated images: distances between features, and how near an image is to its own."""
