"""What must not break the proxy: its upstreams, its disk, its processes and its clients, each broken on purpose."""
