"""Exercises of one's own from a few clips, without training: `kinetag teach`."""
