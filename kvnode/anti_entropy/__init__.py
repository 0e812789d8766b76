"""Anti-entropy: replicas compare Merkle trees and exchange what differs, without being read."""
