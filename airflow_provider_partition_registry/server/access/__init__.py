"""Access control (R10), and protection against wrong tokens, other sites, ambiguous paths and tokens in logs."""
