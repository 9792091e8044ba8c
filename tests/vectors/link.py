#!/usr/bin/env python3
"""link.py: the link's wire format written a second time, from FORMAT.md and
the Noise specification alone, to make link.json: python3 link.py >link.json.
Needs the "cryptography" package; the tests read only its output."""
import hashlib
import hmac
import json
import struct
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey, X25519PublicKey)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def blake(data, size=64):
    return hashlib.blake2b(data, digest_size=size).digest()


def hkdf(ck, ikm):
    mac = lambda key, data: hmac.new(key, data, hashlib.blake2b).digest()
    temp = mac(ck, ikm)
    one = mac(temp, b"\1")
    return one, mac(temp, one + b"\2")


class Cipher:
    def __init__(self, key):
        self.key, self.n = key[:32], 0

    def seal(self, plain, ad=b"", n=None):
        if n is None:
            n, self.n = self.n, self.n + 1
        nonce = bytes(4) + struct.pack("<Q", n)
        return ChaCha20Poly1305(self.key).encrypt(nonce, plain, ad)

    def rekey(self):
        self.key = self.seal(bytes(32), n=2**64 - 1)[:32]


class Side:
    def __init__(self, role, seed, ephemeral, hello):
        self.role, self.hello = role, hello
        self.sign = Ed25519PrivateKey.from_private_bytes(seed)
        secret = blake(b"ecrdt-noise-static-1" + seed, 32)
        self.s = X25519PrivateKey.from_private_bytes(secret)
        self.e = X25519PrivateKey.from_private_bytes(ephemeral)
        self.pk = self.sign.public_key().public_bytes_raw()


def public(key):
    return key.public_key().public_bytes_raw()


def dh(ours, theirs):
    return ours.exchange(X25519PublicKey.from_public_bytes(public(theirs)))


class Transcript:
    """The SymmetricState, which both sides share."""

    def __init__(self, prologue):
        self.h = b"Noise_XX_25519_ChaChaPoly_BLAKE2b".ljust(64, b"\0")
        self.ck = self.h
        self.cipher = None
        self.mix(prologue)

    def mix(self, data):
        self.h = blake(self.h + data)

    def mix_key(self, secret):
        self.ck, key = hkdf(self.ck, secret)
        self.cipher = Cipher(key)

    def clear(self, data):
        self.mix(data)
        return data

    def sealed(self, data):
        return self.clear(self.cipher.seal(data, self.h))

    def proof(self, side):
        signed = b"ecrdt-link-1" + side.role + public(side.s) + self.h
        return self.sealed(side.pk + side.sign.sign(signed) + side.hello)


def frame(body):
    return struct.pack(">H", len(body)) + body


def clear_hello(realm, flags):
    versions = struct.pack(">8sHHI", b"ECRDT-L1", 1, 1, flags)
    return versions + blake(realm, 32)[:8]


def main():
    realm = b"prod"
    i = Side(b"I", bytes([31]) + bytes(31), bytes([0, 1]) + bytes(30),
             b"hello of ini")
    r = Side(b"R", bytes([32]) + bytes(31), bytes([0, 2]) + bytes(30),
             b"hello of res")
    hellos = clear_hello(realm, 0), clear_hello(realm, 1)
    t = Transcript(hellos[0] + hellos[1])
    first = t.clear(public(i.e)) + t.clear(b"")
    second = t.clear(public(r.e))
    t.mix_key(dh(i.e, r.e))
    second += t.sealed(public(r.s))
    t.mix_key(dh(i.e, r.s))
    second += t.proof(r)
    third = t.sealed(public(i.s))
    t.mix_key(dh(i.s, r.e))
    third += t.proof(i)
    one, two = hkdf(t.ck, b"")
    from_i, from_r = Cipher(one), Cipher(two)
    message = frame(from_i.seal(b"\1\5body"))
    rekey = frame(from_i.seal(b"\x80\3"))
    from_i.rekey()
    big = bytes(n * n % 251 for n in range(70000))
    after = frame(from_i.seal(b"\3\6" + big[:65517]))
    after += frame(from_i.seal(b"\0" + big[65517:]))
    print(json.dumps({
        "handshake_hash": t.h.hex(),
        "first": (hellos[0] + frame(first)).hex(),
        "second": (hellos[1] + frame(second)).hex(),
        "third": frame(third).hex(),
        "accept": frame(from_r.seal(b"\x80\1")).hex(),
        "message": message.hex(),
        "rekey": rekey.hex(),
        "blake2b_256_of_two_fragments": blake(after, 32).hex(),
        "refuse_instead": frame(Cipher(two).seal(b"\x80\2\1")).hex(),
    }, indent=1))


main()
