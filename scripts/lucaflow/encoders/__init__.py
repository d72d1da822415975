"""What does a network compute?"""
