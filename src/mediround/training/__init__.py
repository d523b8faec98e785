"""Training of a model from a recipe: masks, language and judge, each resumable."""
