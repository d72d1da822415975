"""What becomes of each record of an input file?"""
