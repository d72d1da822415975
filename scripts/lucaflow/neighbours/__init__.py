"""Which sequences are alike by their embeddings, and what do their labels say?"""
