"""Encrypted files: what goes in comes out, and nothing wrong ever does."""

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetag import encryption
from kinetag.encryption import Key, decrypt, encrypt, read_file, write_file
from kinetag.errors import KinetagError

pytest.importorskip("cryptography")
CHEAP = (4, 8, 1)


@pytest.fixture(scope="module")
def key():
    return Key.derive("open sesame", cost=CHEAP)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 7])
def test_round_trip_at_piece_borders(key, size):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    sealed = encrypt(data, key)
    assert decrypt(sealed, key) == data
    assert len(sealed) == 51 + size + 16 * max(1, -(-size // (1 << 20)))


def test_passphrase_opens_what_a_derived_key_sealed(key):
    assert decrypt(encrypt(b"weights", key), "open sesame") == b"weights"


def test_files_of_one_run_never_look_alike(key):
    assert encrypt(b"weights", key)[51:] != encrypt(b"weights", key)[51:]


def test_wrong_and_missing_key_are_told_apart(key):
    sealed = encrypt(b"weights", key)
    with pytest.raises(KinetagError, match=r"wrong encryption key for last\.pth"):
        decrypt(sealed, "open sesam", name="last.pth")
    with pytest.raises(KinetagError, match=r"last.pth is encrypted: set encryption_key"):
        decrypt(sealed, None, name="last.pth")


@given(st.integers(0, 200), st.integers(1, 255))
def test_any_changed_byte_is_seen(key, at, flip):
    sealed = bytearray(encrypt(bytes(150), key))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(KinetagError):
        decrypt(bytes(sealed), key)


@pytest.mark.parametrize("cut", [0, 10, 51, 60, 51 + (1 << 20) + 16, 51 + (1 << 20) + 20])
def test_cut_off_file_is_seen(key, cut):
    with pytest.raises(KinetagError, match=r"cut off|damaged"):
        decrypt(encrypt(bytes((1 << 20) + 5), key)[:cut], key)


def test_swapped_pieces_are_seen(key):
    piece = (1 << 20) + 16
    sealed = encrypt(bytes(3 << 20), key)
    header, body = sealed[:51], sealed[51:]
    with pytest.raises(KinetagError, match="damaged"):
        decrypt(header + body[piece : 2 * piece] + body[:piece] + body[2 * piece :], key)


def test_hostile_scrypt_cost_is_refused(key):
    sealed = bytearray(encrypt(b"x", key))
    sealed[9] = 40  # 2^40 blocks
    with pytest.raises(KinetagError, match="scrypt parameters"):
        decrypt(bytes(sealed), "open sesame")


def test_secret_is_in_no_text(key):
    assert "sesame" not in repr(key)
    assert repr(key._key) not in repr(key)


def test_agrees_with_the_primitives(key):
    """The format by hand: header as associated data, nonce of prefix, number and last flag."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = encrypt(b"weights", key)
    nonce = sealed[44:51] + (0).to_bytes(4, "big") + b"\x01"
    assert AESGCM(key._key).decrypt(nonce, sealed[51:], sealed[:51]) == b"weights"


def test_streams_use_little_memory(key):
    class Zeros(io.RawIOBase):
        left, largest = 20 << 20, 0

        def read(self, size=-1):
            self.largest = max(self.largest, size)
            taken = min(size, self.left)
            self.left -= taken
            return bytes(taken)

    source, target = Zeros(), io.BytesIO()
    encryption.encrypt_stream(source, target, key)
    assert source.largest == 1 << 20
    assert decrypt(target.getvalue(), key) == bytes(20 << 20)


def test_files(tmp_path, key):
    path = tmp_path / "new" / "model.bin"
    write_file(path, b"plain")
    assert read_file(path) == b"plain"
    write_file(path, b"hidden", key)
    assert b"hidden" not in path.read_bytes()
    assert read_file(path, key) == b"hidden"
    assert [p.name for p in path.parent.iterdir()] == ["model.bin"]
    with pytest.raises(KinetagError, match="does not exist"):
        read_file(tmp_path / "none")
    with pytest.raises(KinetagError, match="cannot write"):
        write_file(tmp_path, b"a folder is in the way")


def test_importing_is_free():
    code = "import sys, kinetag.encryption; assert 'cryptography' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
