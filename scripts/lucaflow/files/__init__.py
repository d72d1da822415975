"""How is a file written, so that nothing half-written carries a final name?"""
