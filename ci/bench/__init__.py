"""The benchmark behind `make bench`: runner-bridge beside its peers, figures as ratios of one run."""
