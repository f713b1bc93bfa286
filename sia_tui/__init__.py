"""sia-tui: human-supervised self-improvement of an agent's harness and weights."""
