"""Everything that starts and finds processes: the lab by one command, JupyterLab, a session's cluster and its traffic.

Must not live here: what is done with them (session.py, panels/), and how a cluster keeps its own (kvnode.cluster).
"""

CLUSTER_VARIABLE = "QUORUM_LAB_CLUSTER"
BASE_PORT_VARIABLE = "QUORUM_LAB_BASE_PORT"
TRAFFIC_PORT_VARIABLE = "QUORUM_LAB_TRAFFIC_PORT"
TRAFFIC_PORT = 7342
