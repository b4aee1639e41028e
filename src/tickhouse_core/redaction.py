"""PURE. `redacted`: the one function that every error, log line and traceback passes through, so that no secret is printed.

A secret is recognised by its place in a text (`scheme://user:password@`, `token=…`, an Authorization header) and by its value
(the environment's passwords, tokens and whatever stands before the `@` of an address there).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"

_SHORTEST = 6
"""A shorter value is part of too many words; it is still hidden by its place."""

_PUBLIC = frozenset({"default", "embedded", "minioadmin", "password", "reader", "testing", "tickhouse"})
"""Passwords that this repository itself publishes: they protect nothing, and are words of ordinary lines."""

_USER_INFO = re.compile(r"(?<=[A-Za-z0-9+.-])(:/{1,2})[^\s\"'<>]*@")
_WORDS = ("password", "passwd", "secret", "token", "signature", "credential", "apikey", "api_key", "accesskey", "access_key")
_NAMED = re.compile(
    rf"((?:{'|'.join(_WORDS)})[A-Za-z0-9_.-]{{0,64}}(?:=|[\"']\s*:\s*[\"']?))" r"[^\s&\"',;<>)\]}\\]+", re.IGNORECASE
)
_SCHEMES = ("bearer ", "basic ")
_HEADER = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE)

_SECRET_NAME = re.compile(r"(?:^|_)(?:PASSWORD|PASSWD|SECRET|TOKEN|PRIVATE_KEY|API_?KEY)(?:_|$)", re.IGNORECASE)
_ADDRESS_NAME = re.compile(
    r"^(?:AWS|CLICKHOUSE|GOOGLE|LAKE|METRICS|PUBSUB|S3|SPOOL|STATUS|TICKHOUSE)_|_(?:URL|PROXY)$", re.IGNORECASE
)
_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(.*)@", re.DOTALL)
_BETWEEN_URLS = re.compile(r"[\s,]+(?=[^\s,]*://)")


_known: tuple[str, ...] = ()


def know_secrets_of(environment: Mapping[str, str]) -> None:
    """From now on the secrets among these variables are hidden, and those of an earlier call are not."""
    global _known
    forms = {form for name, value in environment.items() for form in _forms_of(name, value)}
    _known = tuple(sorted(forms, key=len, reverse=True))  # the longest first: one may be part of another


def redacted(text: str) -> str:
    """The text with `***` in place of every secret."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    if "@" in text:
        text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
    lower = text.lower()  # what is looked for is in few lines, and to look for words costs a hundredth of the patterns
    if any(word in lower for word in _WORDS):
        text = _NAMED.sub(rf"\1{HIDDEN}", text)
    if any(scheme in lower for scheme in _SCHEMES):
        text = _HEADER.sub(rf"\1 {HIDDEN}", text)
    return text


@lru_cache(maxsize=1_000)
def _forms_of(name: str, value: str) -> frozenset[str]:
    """Of one variable's secrets, every spelling."""
    return frozenset(form for secret in _secrets_in(name, value) for form in _forms(secret))


def _secrets_in(name: str, value: str) -> Iterator[str]:
    if _SECRET_NAME.search(name) or value.lstrip().startswith("{"):  # a key file's content in place of its path
        yield value
        yield from value.splitlines()
    for part in _BETWEEN_URLS.split(value) if "@" in value else ():
        if before := _IN_URL.search(part):
            yield from _of_user_info(before.group(1))
        elif "@" in part and _ADDRESS_NAME.search(name):
            yield from _of_user_info(part.rpartition("@")[0])


def _of_user_info(text: str) -> Iterator[str]:
    """The password of `user:password`, whole and in the pieces that a parser may take it for; a user alone is a token."""
    user, colon, password = text.partition(":")
    secret = password if colon else user
    yield secret
    yield from re.split(r"[\s/?#@:]+", secret)


def _forms(secret: str) -> Iterator[str]:
    for text in (secret, unquote(secret)):
        for form in (text, text.strip(), quote(text, safe=""), quote(text), quote_plus(text), repr(text)[1:-1]):
            if len(form) >= _SHORTEST and form.lower() not in _PUBLIC:
                yield form
