"""All files of the project: shards, Arrow files, tables and reports, written completely and then moved into place."""
