"""One labelled image, measured: its structures and what relates them.

shape           one mask measured, and how two lie to each other
link            one relation that singles out one structure
relations       Scene: the structures of an image and the relations between them
relations_wide  further relations: rankings, farthest, part of, several references
"""
