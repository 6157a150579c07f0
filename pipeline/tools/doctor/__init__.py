"""Find what is wrong in a workspace before a run fails on it, and fix what needs no decision of the user."""
