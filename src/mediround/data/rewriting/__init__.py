"""Questions reworded by a language model behind an OpenAI-compatible endpoint.

rewriter  Rewriter, estimate
endpoint  RewriteSettings, and every way a request can fail
checks    whether a rewritten question still asks the same
cache     answers on disk
tally     what it took
"""
