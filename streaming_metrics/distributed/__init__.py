"""Ranks: collectives, and the rendezvous before them."""
