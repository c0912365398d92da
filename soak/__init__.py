"""``make soak``: thirty minutes of everything at once, with accidents, judged at the end."""
