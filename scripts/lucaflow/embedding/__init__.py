"""What does one embedding job do, and what will it take?"""
