"""How is a downstream model trained on one's own labels, and how good is it?"""
