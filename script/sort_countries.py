"""Sort the countries of every language, and write the order to campaign/signatures/country_order.txt.

Run this after an update of Babel, which brings new names: `.venv/bin/python script/sort_countries.py`. A test fails
until then. It needs Node.js (Debian: nodejs), whose ICU knows CLDR's collation of every language. The site itself needs
only the file.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import babel
from babel import Locale
from babel.localedata import locale_identifiers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from campaign.signatures import countries

# Reads {language: [[code, name], …]} and writes [ICU's version, {language: "ADAE…"}].
SORT = """
let text = ""
process.stdin.on("data", data => text += data).on("end", () => {
  const orders = {}
  for (const [language, named] of Object.entries(JSON.parse(text))) {
    let { compare } = new Intl.Collator(language)
    named.sort((a, b) => compare(a[1], b[1]) || (a[0] < b[0] ? -1 : 1))
    orders[language] = named.map(([code]) => code).join("")
  }
  process.stdout.write(JSON.stringify([process.versions.icu, orders]))
})
"""


def bcp_47(identifier: str) -> str:
    """Return the BCP 47 tag of a Babel locale, without variants that Intl.Collator doesn't accept, such as POSIX."""
    return re.sub(r"-POSIX$", "-u-va-posix", identifier.replace("_", "-"))


def main() -> None:
    """Write the file."""
    identifiers = sorted(locale_identifiers())
    named = {bcp_47(each): list(countries.unsorted(Locale.parse(each)).items()) for each in identifiers}
    done = subprocess.run(  # noqa: S603
        ["node", "--input-type=commonjs", "-e", SORT],  # noqa: S607
        input=json.dumps(named),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    icu, orders = json.loads(done.stdout)
    by_order: dict[str, list[str]] = {}
    for each in identifiers:
        by_order.setdefault(orders[bcp_47(each)], []).append(each)
    lines = [f"# Made by script/sort_countries.py with Babel {babel.__version__} and ICU {icu}."]
    lines += [f"{' '.join(languages)}\t{order}" for order, languages in by_order.items()]
    countries.ORDER.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
