"""Everything about mail: the connection, the words, who gets them."""
