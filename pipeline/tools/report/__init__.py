"""The report page: everything about the last run in one self-contained HTML file."""
