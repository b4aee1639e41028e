"""PURE. Names by which this machine alone is reached, and the name in a Host header."""

import ipaddress
import re

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")

_HOST = re.compile(r"(?:\[([^\]]*)\]|([^\[\]:@]*))(?::\d*)?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(name: str) -> bool:
    """Whether it is an IP address, which nobody can register as a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def name_in(header: str) -> str:
    """The name of a Host header, without port and brackets; the whole header where it is none (RFC 9112, section 3.2)."""
    found = _HOST.fullmatch(header)
    return (found[1] or found[2] if found else header).lower()
