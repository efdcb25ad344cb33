"""The rig: images made on the spot, registries sound and faulty, and the proxy as a real process."""
