"""How likely does a language model find a sequence, its residues and its mutants?"""
