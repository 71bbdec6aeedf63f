"""Bias of language models on public test sets, each with intervals, by category, and beside the parent model.

What a number here says is said in its task's docstring: how often a model prefers, on these sentences, what a
stereotype says. It says nothing of a model's use, and some of the sentences are faulty (Blodgett et al. 2021).
"""
