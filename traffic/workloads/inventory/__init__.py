"""The third world: products in several warehouses, ordered, sent, moved, restocked and counted."""

from traffic.workloads.inventory.world import Inventory

__all__ = ["Inventory"]
