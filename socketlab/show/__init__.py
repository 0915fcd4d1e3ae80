"""Show: results for people, and as JSON for programs."""
