"""What is left of deleted keys: when it may be forgotten (the reaper), and what contexts need not say any more."""
