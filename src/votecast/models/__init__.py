"""One model per family, over one base class; a judge holds fitted members of one family."""
