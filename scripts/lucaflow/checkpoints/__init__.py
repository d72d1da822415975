"""Where do weights come from, and what are they converted to?"""
