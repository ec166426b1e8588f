"""Pages that people read: one HTML file each, offline, from sections of text, tables, charts and examples."""
