"""What is known of the nodes: which there are, which are well, whether they hold the same."""
