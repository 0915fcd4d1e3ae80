"""What our servers are compared with: each a small program, written the way its library wants it."""
