"""How far `hpcore` is from the limit of the machine, and other tools from it: ``python -m bench``."""
