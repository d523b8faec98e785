"""Dialogues drawn about a scene.

settings         DialogueSettings: how often which kind of round is drawn
builder          measure, build_dialogue, draw_dialogues, twins
repertoire       what can be asked about a scene in the words of a split
draft            a dialogue while it is written;  draft_referring, draft_rich: more kinds of rounds
swapping         twins of several rounds
enquiries        questions that words alone answer, computed from the masks
guessing         what a reader of the words alone could know
difficulty       how hard a round is
"""
