"""Pure functions: bytes, arrays and tables in, values out. No disk, no logging, no clock."""
