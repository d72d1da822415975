"""How are downstream models trained?"""
