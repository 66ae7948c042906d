"""The studies behind the tables in the docs: `make study`, `make study-clothes`, `make study-words`.

`digits` also kills its study and resumes it; `ways` trains those of its list on parts of their data; `tables` writes
results into a page.
"""
