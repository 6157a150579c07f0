"""All files of the project: shards, Arrow files, tables and reports, written beside and moved into place."""
