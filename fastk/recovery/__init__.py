"""Finding and mending damage, over files and formats alone: it works when the engine cannot."""
