"""Sequences in, arrays out: how are they computed?"""
