"""TriMul: make the outgoing triangle multiplicative update of AlphaFold 3's Pairformer faster.

The answer to a case is C source; it is paid for being faster than a naive kernel, once it is right. `reference` says what
is to be computed, `cases` for which shapes, `bench` how an answer becomes a score; `grammar` and `render_c` are short plans
and the C they stand for.
"""
