"""How `mini`, the small checkpoint that comes with LucaFlow, was trained: LucaOne's architecture on open sequences."""
