"""The processes of a local cluster: children, who keeps them, how they start, and how they end with their parent."""
