"""Check that the site can listen on its host and port; if not, say in one line what to do.

gunicorn would try five times and print five lines without advice.
"""

import errno
import socket
import sys

DEFAULT_PORT = 8000


def listen_error(host: str, port: int) -> OSError | None:
    """Return the error of listening on this host and port, or None."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # Without this, the port of a server that has just stopped would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return error
    return None


def advice(host: str, port: int, error: OSError) -> str:
    """Return one line that says why the site can't listen there, and what to do."""
    if error.errno == errno.EADDRINUSE:
        reason = f"Port {port} is taken"
    elif error.errno == errno.EACCES:
        reason = f"Port {port} is reserved for root"
    else:
        return f"The site can't listen on {host}: {error.strerror}. Check the setting HOST."
    candidates = range(max(port, DEFAULT_PORT) + 1, 65536)
    free = next((other for other in candidates if not listen_error(host, other)), DEFAULT_PORT)
    return f"{reason}. Choose another one: PORT={free} script/serve"


def main() -> None:
    """Check the host and port given as arguments.

    Raises:
        SystemExit: The site can't listen there.
    """
    host, port = sys.argv[1].strip(), int(sys.argv[2])
    if error := listen_error(host, port):
        raise SystemExit(advice(host, port, error))


if __name__ == "__main__":
    main()
