"""How fast minifast is, beside others on the same machine in the same run."""
