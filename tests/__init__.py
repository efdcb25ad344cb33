"""The tests of proxy_core and runner_bridge, and the rig that they share."""
