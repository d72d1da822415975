"""How was `mini`, the small checkpoint packaged with LucaFlow, trained: LucaOne's architecture on open sequences?"""
