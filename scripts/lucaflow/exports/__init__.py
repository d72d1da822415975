"""How are embeddings written in the formats of other tools?"""
