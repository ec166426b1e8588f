"""Files in, battles out."""
