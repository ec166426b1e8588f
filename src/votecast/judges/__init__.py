"""Judges: trained, combined, cascaded, recalibrated, explained, and their folders."""
