"""What was asked for, and what does each step depend on?"""
