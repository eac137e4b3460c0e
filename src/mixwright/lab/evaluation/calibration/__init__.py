"""Whether a confidence can be believed: bins and their errors, proper scores, temperature."""
