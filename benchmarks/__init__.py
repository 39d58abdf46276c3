"""What the site can carry, and how we know."""
