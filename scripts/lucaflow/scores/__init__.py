"""How likely does a language model find sequences, residues and mutants, and does that fit measurements?"""
