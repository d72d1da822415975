"""Which results does the user request, and on what does each step depend?"""
