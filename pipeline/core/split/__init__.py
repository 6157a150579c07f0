"""Which image measures, which one trains, and the proof that it is fair."""
