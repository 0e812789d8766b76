"""The worlds that make traffic. A workload yields operations and hears how they ended; it knows no HTTP."""
