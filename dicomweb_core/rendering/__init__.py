"""Native frames -> pictures (PS3.3 C.11, PS3.4 N.2, PS3.18 8.3.5). Pure: no storage, no HTTP."""
