"""What do downstream models predict, and from which embeddings?"""
