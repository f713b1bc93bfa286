"""LoRA updates: trainers in a process of their own, which asks for rollouts and knows nothing of where they come from."""
