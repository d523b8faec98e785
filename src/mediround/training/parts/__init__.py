"""Nano's own training: a frozen trunk's features are kept, and one part after the other learns.

recipe         what a run does;  run: its parts in order
features       views of every slice, encoded once
masks          the decoder and a code for each structure
conversations  endless dialogues over the views;  replay: plain chat between them
language       reading masks, saying codes;  goals: what is meant, how far it is from what was said
alignment      references drawn to the words of names;  grounding: and what the image shows
lookups        questions about made-up masks
merged_adapter a low-rank adapter at the price of a dense layer
judge          scores of the decoder's own masks
"""
