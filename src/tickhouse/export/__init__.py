"""`tickhouse export`: ranges of the lake in the formats of backtesters, with a certificate of what is in them and what is not."""
