"""Recovering gene expression: single-cell counts in, denoised counts out, judged by molecules held out."""
