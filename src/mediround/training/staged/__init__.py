"""The paper's two stages on built dialogues, for any preset, through accelerate.

recipe       what a run does;  run: the command's entry;  stages: what each stage trains
talks        the dialogues of a folder;  example, examples, supply, buckets: as batches of like size
sight        what frozen parts compute once;  feature_cache: kept on disk
objective    the losses of a batch;  official_losses: as the official code writes them
quicker      a language model computed in a way that trains quicker
trainer      the loop;  optimiser_step, checkpoints, devices, look, beginning, provenance
"""
