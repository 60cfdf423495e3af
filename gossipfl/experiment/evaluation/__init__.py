"""Evaluation of the models, the result files, and the verdict; must not know which engine learned."""
