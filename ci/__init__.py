"""What runs in pipelines: the CI component, hook scripts and the benchmark."""
