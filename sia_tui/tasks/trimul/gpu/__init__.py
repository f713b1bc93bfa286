"""TriMul on a GPU: the answer is a Python module, timed and judged from a process that never imports it.

`memory` is what two processes see, on a GPU or, so that all of this runs without one, in the host's memory; `worker` is the
candidate's process, `module` a loaded module as the other side knows it, `trial` how a source becomes a score. Never yet
run on a GPU.
"""
