"""Files encrypted at rest with a passphrase: AES-256-GCM under a key that scrypt derives.

A file is a header and a sequence of sealed pieces, the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár,
CRYPTO 2015, eprint 2015/189), so that any size passes through little memory and nothing unchecked is ever handed out:

    magic (8) | version (1) | log2 N, r, p of scrypt (3) | salt (16) | key check (16) | nonce prefix (7)
    pieces of up to 1 MiB, each followed by its 16-byte tag

The nonce of a piece is prefix | number (4 bytes, big-endian) | 1 for the last piece, else 0; the header is associated
data of every piece. So a changed header, a changed, lost, repeated or reordered piece, and a cut-off file are all seen.
scrypt (RFC 7914) gives 48 bytes: the key, and a check that tells a wrong passphrase from a damaged file.
"""

import hmac
import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kinetag.errors import KinetagError, missing_extra
from kinetag.whole_file import whole_file

MAGIC = b"KINETAG\x1a"
_VERSION = 1
_HEADER = struct.Struct(">8sB3B16s16s7s")
_PIECE = 1 << 20
_TAG = 16
_COST = (17, 8, 1)  # log2 N, r, p: 128 MiB and about a third of a second, what OWASP's password cheat sheet asks for
_HIGHEST_COST = (20, 16, 4)  # a hostile header must not make us take all memory
_KEY_VARIABLE = "KINETAG_ENCRYPTION_KEY"


@dataclass(frozen=True)
class Key:
    """A derived key. Deriving is slow on purpose: a run that writes many files derives once, with `Key.derive`."""

    salt: bytes
    cost: tuple[int, int, int]
    check: bytes = field(repr=False)
    _key: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: str, salt: bytes | None = None, cost: tuple[int, int, int] = _COST) -> "Key":
        """The key of a passphrase, with a fresh ``salt`` unless one is given."""
        if not secret:
            raise KinetagError("the encryption key is empty: set encryption_key, or the variable " + _KEY_VARIABLE)
        scrypt = _load("cryptography.hazmat.primitives.kdf.scrypt").Scrypt
        salt = os.urandom(16) if salt is None else salt
        log2n, r, p = cost
        derived = scrypt(salt=salt, length=48, n=1 << log2n, r=r, p=p).derive(secret.encode())
        return cls(salt, cost, derived[32:], derived[:32])

    def cipher(self):
        return _load("cryptography.hazmat.primitives.ciphers.aead").AESGCM(self._key)


Secret = str | Key


def is_encrypted(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (8 bytes or more) was written by this module."""
    return head.startswith(MAGIC)


def encrypt_stream(source: BinaryIO, target: BinaryIO, secret: Secret) -> None:
    """Encrypt everything that ``source`` still holds into ``target``."""
    key = secret if isinstance(secret, Key) else Key.derive(secret)
    prefix = os.urandom(7)
    header = _HEADER.pack(MAGIC, _VERSION, *key.cost, key.salt, key.check, prefix)
    cipher = key.cipher()
    target.write(header)
    for number, last, piece in _pieces(source, _PIECE):
        target.write(cipher.encrypt(_nonce(prefix, number, last), piece, header))


def decrypt_stream(source: BinaryIO, target: BinaryIO, secret: Secret | None, *, name: str = "the file") -> None:
    """Decrypt ``source`` into ``target``, piece by piece; ``name`` is for messages.

    Raises KinetagError for no key, a wrong key, and a damaged file; what ``target`` then holds is true but incomplete.
    """
    header = source.read(_HEADER.size)
    key, prefix = _open_header(header, secret, name)
    cipher = key.cipher()
    invalid = _load("cryptography.exceptions").InvalidTag
    for number, last, piece in _pieces(source, _PIECE + _TAG):
        try:
            target.write(cipher.decrypt(_nonce(prefix, number, last), piece, header))
        except invalid:
            raise KinetagError(f"{name} is damaged or cut off: take another copy of it") from None


def encrypt(data: bytes, secret: Secret) -> bytes:
    """``data`` encrypted, as the bytes of a file."""
    target = io.BytesIO()
    encrypt_stream(io.BytesIO(data), target, secret)
    return target.getvalue()


def decrypt(data: bytes, secret: Secret | None, *, name: str = "the file") -> bytes:
    """The plain bytes of an encrypted file; errors as `decrypt_stream`."""
    target = io.BytesIO()
    decrypt_stream(io.BytesIO(data), target, secret, name=name)
    return target.getvalue()


def read_file(path: str | Path, secret: Secret | None = None) -> bytes:
    """The plain content of a file, decrypted if it is encrypted."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise KinetagError(f"{path} does not exist") from None
    except OSError as error:
        raise KinetagError(f"cannot read {path}: {error.strerror}") from None
    return decrypt(data, secret, name=str(path)) if is_encrypted(data) else data


def write_file(path: str | Path, data: bytes, secret: Secret | None = None) -> None:
    """Write a file whole or not at all, encrypted if there is a secret; it survives a kill and a power cut."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft, open(draft, "wb") as file:
            if secret:
                encrypt_stream(io.BytesIO(data), file, secret)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KinetagError(f"cannot write {path}: {error.strerror}") from None


def _open_header(header: bytes, secret: Secret | None, name: str) -> tuple[Key, bytes]:
    """Key and nonce prefix of a file, checked against the secret."""
    if len(header) < _HEADER.size:
        raise KinetagError(f"{name} is cut off: its encryption header has {len(header)} of {_HEADER.size} bytes")
    magic, version, log2n, r, p, salt, check, prefix = _HEADER.unpack(header)
    if not is_encrypted(magic):
        raise KinetagError(f"{name} is not encrypted by kinetag")
    if version != _VERSION:
        raise KinetagError(f"{name} has encryption format {version}; this kinetag reads {_VERSION}: update kinetag")
    cost = (log2n, r, p)
    if min(cost) < 1 or any(c > most for c, most in zip(cost, _HIGHEST_COST, strict=True)):
        raise KinetagError(f"{name} is damaged: its scrypt parameters are {cost}")
    if not secret:
        raise KinetagError(f"{name} is encrypted: set encryption_key, or the variable {_KEY_VARIABLE}")
    # A derived key opens the files of its own run alone, which share its salt; a passphrase opens any.
    key = secret if isinstance(secret, Key) else Key.derive(secret, salt, cost)
    if not hmac.compare_digest(key.check, check):
        raise KinetagError(f"wrong encryption key for {name}: set encryption_key to the one it was written with")
    return key, prefix


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def _pieces(source: BinaryIO, size: int) -> Iterator[tuple[int, bool, bytes]]:
    """(number, is it the last, bytes) of a stream, at least one piece."""
    number, piece = 0, source.read(size)
    while True:
        following = source.read(size) if len(piece) == size else b""
        yield number, not following, piece
        if not following:
            return
        number, piece = number + 1, following


def _load(module: str):
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise missing_extra("cryptography", "train", "encryption_key") from None
