"""Files of networks: written atomically, read without executing anything, downloaded and verified."""
