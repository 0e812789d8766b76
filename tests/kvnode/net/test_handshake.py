"""Who does not know the secret cannot prove it, also not with what others have proved."""

from __future__ import annotations

from kvnode.net.handshake import Handshake, challenge

SECRET = "a secret of this cluster"


def handshake(
    secret: str = SECRET, cluster: str = "c", dialer: str = "node-1", listener: str = "node-2"
) -> Handshake:
    return Handshake(secret, cluster, dialer=dialer, listener=listener)


def test_both_sides_can_prove_the_secret_and_no_other_secret_can() -> None:
    one, other = challenge(), challenge()
    for side in ("dialer", "listener"):
        assert handshake().is_proof(handshake().proof(side, one, other), side, one, other)
        assert not handshake().is_proof(
            handshake("another secret altogether").proof(side, one, other), side, one, other
        )
        assert not handshake().is_proof(b"", side, one, other)


def test_a_proof_is_worth_nothing_anywhere_else() -> None:
    one, other = challenge(), challenge()
    proof = handshake().proof("dialer", one, other)
    assert not handshake().is_proof(proof, "listener", one, other), "handed back"
    assert not handshake().is_proof(proof, "dialer", other, one), "challenges swapped"
    assert not handshake().is_proof(proof, "dialer", one, challenge()), "replayed later"
    assert not handshake().is_proof(proof, "dialer", challenge(), other)
    assert not handshake(cluster="d").is_proof(proof, "dialer", one, other)
    assert not handshake(dialer="node-3").is_proof(proof, "dialer", one, other)
    assert not handshake(listener="node-3").is_proof(proof, "dialer", one, other)


def test_a_challenge_that_is_none_proves_nothing() -> None:
    proof = handshake().proof("listener", challenge(), b"")
    assert not handshake().is_proof(proof, "listener", b"", b"")
    assert len({challenge() for _ in range(100)}) == 100


def test_parts_cannot_be_shifted_into_each_other() -> None:
    one, other = challenge(), challenge()
    assert handshake(dialer="ab", listener="c").proof("dialer", one, other) != handshake(
        dialer="a", listener="bc"
    ).proof("dialer", one, other)
