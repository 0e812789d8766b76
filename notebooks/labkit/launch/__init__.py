"""Everything that starts and finds processes: the lab by one command, JupyterLab, a session's cluster and its traffic.

Must not live here: what is done with them (session.py, panels/), and how a cluster keeps its own (kvnode.cluster).
"""
