"""One generator in this process, or several in processes of their own, steered and seen as one."""
