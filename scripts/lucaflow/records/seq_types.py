"""Which words mean a gene, and which a protein?"""

from __future__ import annotations

# The types by the words that mean them, in lower case.
SEQ_TYPES = {
    **dict.fromkeys(("gene", "dna", "rna", "nucl"), "gene"),
    **dict.fromkeys(("prot", "protein", "aa"), "prot"),
}
