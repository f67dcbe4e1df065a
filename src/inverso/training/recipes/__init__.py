"""One training recipe a file: what is learned, from what, by which losses."""
