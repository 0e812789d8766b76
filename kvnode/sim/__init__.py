"""The other world: the same Node in virtual time, over a simulated network and disks that forget what was not synced.

A run is a pure function of its seed. (The method of FoundationDB's and TigerBeetle's simulators, in a size to read.)
"""
