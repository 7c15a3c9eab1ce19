"""What `edgeml demo` does: the main job in one go on real data."""
