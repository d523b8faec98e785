"""Labelled images in, multi-round dialogues out.

sources     labelled data sets as streams of slices, one reader a layout
synthesis   images made from label maps
scene       an image measured: structures and what relates them
words       the language of questions and answers
dialogues   dialogues drawn about a scene
rewriting   questions reworded by a language model
shards      a data set of dialogues on disk
official    the official release's bracket JSON
building    sources -> shards, with any number of workers
inspection  check, statistics, contact sheets
"""
