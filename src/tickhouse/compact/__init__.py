"""`tickhouse compact`: the many small objects of a day become one per symbol, with each row once."""
