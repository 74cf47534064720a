"""Scores of generated images: distances in feature spaces, and similarity to references."""
