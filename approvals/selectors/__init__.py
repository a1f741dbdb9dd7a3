"""What the pages read: each page's rows in a constant number of queries."""
