"""What a token is: signed in one way, in force for a while, and not to be had in any other."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import errors
from tidegate.identity.tokens import DEFAULT_LIFETIME, LEEWAY, MAX_LENGTH, MAX_LIFETIME, Claims, Signer

KEY = b"k" * 32
NOW = 1_800_000_000
SIGNER = Signer(KEY)


def claims(**changes: object) -> Claims:
    """What a good token says."""
    fields: dict[str, object] = {
        "sub": "alice",
        "uid": "a" * 64,
        "jti": "1",
        "iat": NOW,
        "exp": NOW + DEFAULT_LIFETIME,
        "iss": "tidegate/x",
        "pwd": "0123456789abcdef",
    }
    return Claims(**{**fields, **changes})  # type: ignore[arg-type]  # by name


def part(value: object) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: object, payload: object, key: bytes | None = KEY, digest: str = "sha256") -> str:
    """A token made by hand, signed if there is a key."""
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{part(hmac.digest(key, text.encode(), digest)) if key is not None else ''}"


PAYLOAD = {
    "sub": "alice",
    "uid": "a",
    "jti": "1",
    "iat": NOW,
    "exp": NOW + 60,
    "iss": "tidegate/x",
    "pwd": "0",
    "admin": True,
}
HEADER = {"alg": "HS256", "typ": "JWT"}


def test_a_token_is_read_as_it_was_signed() -> None:
    """What was signed comes back, until the token's time is over."""
    token = SIGNER.sign(claims())
    assert token.count(".") == 2
    assert SIGNER.read(token, NOW) == claims()
    assert SIGNER.read(token, NOW + DEFAULT_LIFETIME - 1) == claims()
    with pytest.raises(errors.ExpiredToken):
        SIGNER.read(token, NOW + DEFAULT_LIFETIME)


def test_one_made_by_hand_in_the_same_way_is_read() -> None:
    """The forger below knows how: what it makes with the right key and header is good."""
    assert SIGNER.read(forged(HEADER, PAYLOAD), NOW).admin


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None", "typ": "JWT"},
        {"alg": "HS384", "typ": "JWT"},
        {"alg": "HS512", "typ": "JWT"},
        {"alg": "RS256", "typ": "JWT"},
        {"alg": "ES256", "typ": "JWT"},
        {"alg": "hs256", "typ": "JWT"},
        {"alg": ["HS256"], "typ": "JWT"},
        {"alg": "HS256", "typ": "JWT", "kid": "../../dev/null"},
        {"alg": "HS256", "typ": "JWT", "jku": "http://127.0.0.1/keys"},
        {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": "aw"}},
        {"alg": "HS256", "typ": "JWT", "x5u": "http://127.0.0.1/cert"},
        {"alg": "HS256", "typ": "JWT", "crit": ["exp"]},
        {"alg": "HS256", "typ": "JWT", "b64": False, "crit": ["b64"]},
        {"alg": "dir", "enc": "A256GCM"},
        {"typ": "JWT"},
        {"typ": "JWT", "alg": "HS256"},
        {},
        [],
        "HS256",
    ],
    ids=json.dumps,
)
def test_no_other_header_is_taken(header: object) -> None:
    """Whatever algorithm or key a header asks for, signed with our key, another or none, the token is refused."""
    for key in (KEY, b"", b"other", None):
        for digest in ("sha256", "sha384", "sha512"):
            with pytest.raises(errors.InvalidToken):
                SIGNER.read(forged(header, PAYLOAD, key, digest), NOW)


@pytest.mark.parametrize("name", ["sub", "uid", "jti", "iat", "exp", "iss", "pwd"])
def test_every_claim_is_required(name: str) -> None:
    """A token that does not say whose it is, which it is, or until when, is none."""
    for payload in ({key: value for key, value in PAYLOAD.items() if key != name}, {**PAYLOAD, name: None}):
        with pytest.raises(errors.InvalidToken):
            SIGNER.read(forged(HEADER, payload), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW + MAX_LIFETIME + 1},
        {"exp": 2**63},
        {"exp": NOW + 60.5},
        {"exp": str(NOW + 60)},
        {"exp": NOW},
        {"iat": NOW + LEEWAY + 1, "exp": NOW + LEEWAY + 61},
        {"nbf": NOW + LEEWAY + 1},
        {"admin": "true"},
        {"clusters": "all"},
        {"buckets": [{"perm": "1"}]},
    ],
    ids=str,
)
def test_a_claim_is_what_it_should_be(changes: dict[str, object]) -> None:
    """A time that is none, lies too far ahead or never ends, and a claim of another type, make a token none."""
    with pytest.raises(errors.InvalidToken):
        SIGNER.read(forged(HEADER, {**PAYLOAD, **changes}), NOW)


def test_a_clock_may_be_a_little_ahead() -> None:
    """A token of a machine whose clock is some seconds ahead is good."""
    ahead = {**PAYLOAD, "iat": NOW + LEEWAY, "nbf": NOW + LEEWAY, "exp": NOW + 90}
    assert SIGNER.read(forged(HEADER, ahead), NOW).iat == NOW + LEEWAY


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda data: forged(HEADER, data)))
def test_nothing_else_is_a_token(text: str) -> None:
    """Any text is refused as what it is: no token."""
    for token in (text, f"{text}.{text}.{text}", SIGNER.sign(claims()) + text[:1] * 2):
        if token != SIGNER.sign(claims()):
            with pytest.raises(errors.InvalidToken):
                SIGNER.read(token, NOW)


def test_a_change_anywhere_breaks_it() -> None:
    """No character of a token can be another; one that says the same is not good for two."""
    token = SIGNER.sign(claims())
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        try:
            assert SIGNER.read(changed, NOW) == claims()
        except errors.InvalidToken:
            continue
        # Only the two bits beyond the signature may have changed: the token is the same by its id.
        assert at == len(token) - 1


def test_another_key_signs_nothing_for_us() -> None:
    """A token of another system is none here."""
    with pytest.raises(errors.InvalidToken):
        SIGNER.read(Signer(b"o" * 32).sign(claims()), NOW)


def test_a_token_fits_into_a_header() -> None:
    """A token that no request could carry is not issued, and what is too long is not even looked at."""
    with pytest.raises(errors.InvalidRequest):
        SIGNER.sign(claims(sub="a" * MAX_LENGTH))
    with pytest.raises(errors.InvalidToken):
        SIGNER.read(forged(HEADER, {**PAYLOAD, "sub": "a" * MAX_LENGTH}), NOW)
