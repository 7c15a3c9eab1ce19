"""Sources for `edgeml run` that speak the bridge's protocol."""
