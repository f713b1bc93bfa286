"""Agents that are language models: any provider, behind one config block a role."""
