"""Secrets at rest: AES-256-GCM with a key that lies in a file beside the catalog, readable by its owner only.

A backup of the catalog without the key file discloses no secret.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tidegate import errors
from tidegate.durable import sync

KEY_FILE = "secret.key"
_KEY_SIZE = 32
_NONCE_SIZE = 12


class WrongSecretKey(errors.Error):
    """A secret was encrypted with another key file than the one that is here."""

    code = "InternalError"
    message = f"A secret cannot be decrypted: {KEY_FILE} is not the one that belongs to this catalog."


class Vault:
    """Encrypts and decrypts short secrets with the key file of a data folder, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self._key = _load_or_make(folder / KEY_FILE)
        self._cipher = AESGCM(self._key)

    def seal(self, secret: str, purpose: str) -> bytes:
        """Encrypts. ``purpose`` is authenticated, so that what is sealed for one cannot be passed off as another's."""
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> str:
        """Decrypts what ``seal`` made for the same purpose. Raises ``WrongSecretKey``."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], purpose.encode()).decode()
        except InvalidTag:
            raise WrongSecretKey from None

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, the same each time (HKDF, RFC 5869). It tells nothing of others."""
        return HKDF(hashes.SHA256(), _KEY_SIZE, salt=None, info=f"tidegate {purpose}".encode()).derive(self._key)


def _load_or_make(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        # Written aside and linked into place: whoever comes second, at the same moment, uses the first one's key.
        aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with open(aside, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_bytes(_KEY_SIZE))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
        sync(path.parent)  # before the catalog keeps a secret that nothing else opens
        key = path.read_bytes()
    if len(key) != _KEY_SIZE:
        raise WrongSecretKey
    return key
