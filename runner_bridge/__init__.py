"""What a GitLab Runner imports so that every job pulls through the cache, logged in."""
