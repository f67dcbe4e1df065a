"""Networks as files: written whole, read without running anything in them, downloaded and checked."""
