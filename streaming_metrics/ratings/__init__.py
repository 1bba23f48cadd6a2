"""Ratings: what people, and discriminators, say of generated images, and what that is worth."""
