"""What the site says, in the language of the page.

`speaking.py` knows the language of the current page or task, and translates messages into it. `catalogs.py` reads the
translations in `catalogs/`, one file for each language, and says which of them are complete enough to be offered.
`locales.py` has CLDR's data for numbers, dates, times, and the names of countries and languages.
`extraction.py` finds the messages in code and templates, updates the catalogs, and checks translations.
"""
