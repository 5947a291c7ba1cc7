"""`analyze`: why the controllers are right and wrong. Every number of its page comes from the report, its JSON."""
