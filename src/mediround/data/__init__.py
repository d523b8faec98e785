"""Labelled images in, multi-round dialogues out."""
