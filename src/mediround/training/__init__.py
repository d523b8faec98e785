"""Training of a model from a recipe, resumable at any moment.

parts    nano part by part, each on features kept from the part before: masks, language, judge
staged   any preset in the paper's two stages on dialogues, on one device or many

Here stands what both use: losses, random views of a picture, log, checkpoints' ledger, curves.
"""
