"""Labelled data sets to a data set of dialogues on disk.

build        the whole of it, resumable, with any number of workers
settings     BuildSettings: what is asked for
images       first pass: every labelled slice, decoded once
plan         which image gets how many dialogues, in which split and shard
dialogues    second pass: the dialogues of a shard
completion   index, report, card and manifest of what was written
journal      what is finished, so that a build goes on after a kill
splits       who trains and who tests;  leaks between them
scale        pools of workers on this machine;  ray_cluster: on a Ray cluster
"""
