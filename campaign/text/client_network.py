"""Client networks: the key that rate limits and connection limits count by."""

from ipaddress import IPv4Address, IPv6Address, ip_address


def ip_of(address: str | None) -> IPv4Address | IPv6Address | None:
    """Parse an IP address; return None if the text isn't one. An IPv4-mapped IPv6 address becomes IPv4."""
    try:
        # An IPv6 zone (the part after %) names a network interface of this machine.
        ip = ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def network_of(address: str | None) -> bytes:
    """Return the bytes of an IPv4 address, or of an IPv6 address's /64 network; empty if the text is no IP address.

    Internet providers assign each customer a /64 or a larger network (RFC 6177), so a /64 counts as one client.
    """
    ip = ip_of(address)
    if ip is None:
        return b""
    return ip.packed[:8] if ip.version == 6 else ip.packed
