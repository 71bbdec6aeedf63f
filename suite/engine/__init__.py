"""The language-model scoring engine: every distinct token prefix is computed once, whatever the requests share.

A request is a row of token ids and how many of its last tokens are scored (``Request``). ``trie`` sorts requests into
a prefix tree and decides what to keep and what to pack; ``tree`` scores packed subtrees under an attention mask, ``kv``
scores them through key/value caches without one; ``plain`` scores every request on its own; ``check`` finds out at
load time which of the three a model computes exactly. Torch is imported inside functions only: this package is
importable where no model runs.

Shape suffixes: B rows of a forward, T tokens of a row, W tokens of a packed subtree, N scored positions, P pairs of a
position and a target token, D features, V vocabulary.
"""
