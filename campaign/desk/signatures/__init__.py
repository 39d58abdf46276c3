"""The desk's pages of signatures: the table, moderation, email addresses, and possible duplicates.

Start with `views.py`. `forms.py` has the filter, and the form that selects signatures to change.
`notices.py` words the results of changes, and the questions before large ones.
"""
