"""How are files written so that only complete files get their final name?"""
