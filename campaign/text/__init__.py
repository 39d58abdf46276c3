"""Text, email addresses, and IP addresses that come from outside.

`bounded_text.py` limits and normalizes text. `folding.py` makes different spellings of a code or name equal, and
`links.py` tells links from names. `pasted_text.py` unifies line breaks and finds unusable characters.
`email_address.py` folds and validates email addresses, and `urls.py` validates web addresses. `paragraphs.py` splits
short texts. `sorting.py` sorts names and titles in mixed languages. `client_network.py` reads clients' IP addresses.
`country_codes.py` lists countries, and `setting_values.py` checks the values of settings.
"""
