"""Trained models through evaluations: which models, which evaluations, what is kept of them."""
