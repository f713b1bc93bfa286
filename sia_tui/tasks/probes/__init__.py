"""What the verifier of each kind of task is asked, in the terms of its answers: texts, kernels, functions on tissues."""
