"""What can be wrong with a cluster: the rules as values, named topologies, who broke what, and telling the nodes."""
