"""Who may do what, and what is kept out: wrong tokens, other sites, ambiguous paths, tokens in logs (R10)."""
