"""A site on which the benchmarks sign, and the proof that each thanked signature is stored once."""

from benchmarks import measure
from benchmarks.measure import RUNS, SIGN, Rate, Target
from campaign.settings import Settings


class Site:
    """A running site, with the number of signatures that it has said thank you for."""

    def __init__(self, settings: Settings, url: str) -> None:
        """Remember how many signatures are stored before the measurements."""
        self.settings, self.url = settings, url
        self._before, self._thanked, self._in_flight = measure.stored(settings), 0, 0

    @property
    def sign(self) -> Target:
        """Return the target that makes wrk sign."""
        return Target(self.url + SIGN, sign=True)

    def signed(self, rate: Rate, connections: int, runs: int = RUNS) -> None:
        """Add the thank-yous of a measurement, and the requests that the end of each run may have cut off."""
        self._thanked += rate.thanked
        self._in_flight += runs * connections

    def proof(self) -> str:
        """Check that every signature that was thanked for is stored once, and return the numbers as text.

        Signatures whose response was cut off by the end of a run may be stored, too.

        Raises:
            SystemExit: A signature was lost or stored twice.
        """
        new = measure.stored(self.settings) - self._before
        if not self._thanked <= new <= self._thanked + self._in_flight:
            raise SystemExit(f"LOST OR TWICE: thanked {self._thanked}, stored {new}")
        return f"{self._thanked:,} thanked, {new:,} stored, tally right"
