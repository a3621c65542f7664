"""Is a map better than chance?"""
