"""The classic bugs of whoever writes a framework, to be switched on."""
