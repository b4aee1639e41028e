"""GET of a small page of another process of ours: its bytes are counted while they arrive."""

from collections.abc import Mapping

import httpx

from tickhouse_core.settings import StatusSettings

_PLAIN = {"Accept-Encoding": "identity"}
"""Nothing to unpack: what arrives is what is kept."""


def bearer(settings: StatusSettings) -> dict[str, str]:
    """The header that the status page asks for where it has a token."""
    return {"Authorization": f"Bearer {settings.token}"} if settings.token else {}


def bounded_get(client: httpx.Client, url: str, most_bytes: int, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body. Raises httpx.HTTPError, ValueError for a body above `most_bytes` or an encoded one."""
    with client.stream("GET", url, headers={**_PLAIN, **(headers or {})}) as answer:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise ValueError("the answer is compressed, which was not asked for")
        body = bytearray()
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > most_bytes:
                raise ValueError(f"the answer has more than {most_bytes:,} bytes")
        return answer.status_code, bytes(body)
